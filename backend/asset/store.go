package asset

import (
	"context"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Store keeps assets. Each method that changes something is one transaction, in which the audit entry is written too, and
// has an error of kind NotFound where the thing does not exist and Conflict where a name is taken.
type Store interface {
	ProjectStore
	AppStore
	InstallationStore
	DeviceStore
	ServiceStore
	GroupStore
	// Inventory reads, at one moment, all that the directory is made of.
	Inventory(ctx context.Context) (Inventory, error)
}

// ErrRevision is returned by updates of what has another revision than the one expected.
var ErrRevision error = errs.E(wire.Conflict, "it was changed since you read it: read it again and repeat the change")

// ProjectStore keeps projects.
type ProjectStore interface {
	Project(ctx context.Context, key wire.Key) (Project, error)
	ProjectNamed(ctx context.Context, name string) (Project, error)
	Projects(ctx context.Context, afterName string, limit int) ([]Project, error)
	// InsertProject keeps a project with its owners; without any, it is the bootstrap owner's.
	InsertProject(ctx context.Context, p Project, e audit.Entry, owners ...wire.Key) error
	// UpdateProject keeps name, title and revision of p where the stored revision is one lower; ErrRevision otherwise.
	UpdateProject(ctx context.Context, p Project, e audit.Entry) error
	// BeginProjectRemoval makes it and its installations removing, and gives the serials of its devices. Kind Conflict
	// while one of them is being made or removed. It may be repeated.
	BeginProjectRemoval(ctx context.Context, key wire.Key, e audit.Entry) ([]wire.Serial, error)
	// DeleteProject deletes a project that is removing and has no installation, with its devices and apps.
	DeleteProject(ctx context.Context, key wire.Key, e audit.Entry) error
	ProjectsRemoving(ctx context.Context) ([]Project, error)
}

// AppStore keeps apps and their sealed credential keys.
type AppStore interface {
	App(ctx context.Context, key wire.Key) (App, error)
	AppNamed(ctx context.Context, name string) (App, error)
	Apps(ctx context.Context, afterName string, limit int) ([]App, error)
	InsertApp(ctx context.Context, a App, c Credential, e audit.Entry) error
	UpdateApp(ctx context.Context, a App, e audit.Entry) error // title alone, as UpdateProject
	// RotateApp adds the new epoch, lets the one before it end and deletes those that have ended. ErrRevision as in updates.
	RotateApp(ctx context.Context, change AppRotation, e audit.Entry) error
	DeleteApp(ctx context.Context, key wire.Key, e audit.Entry) error // kind Conflict while it is installed
}

// InstallationStore keeps installations.
type InstallationStore interface {
	Installation(ctx context.Context, r realms.Realm) (Installation, error)
	// Installations lists those of a project, or of all where project is zero, in the order of project, app and stage, without their templates.
	Installations(ctx context.Context, project wire.Key, after realms.Realm, limit int) ([]Installation, error)
	InstallationsUnfinished(ctx context.Context) ([]Installation, error)
	// BeginInstallation inserts it as provisioning; kind NotFound where the project does not exist or is removing.
	BeginInstallation(ctx context.Context, in Installation, e audit.Entry) error
	FinishInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error // provisioning → ready
	// AbandonInstallation: provisioning → removing; kind Conflict where it is in another state.
	AbandonInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error
	// BeginRemoval: ready → removing; kind Conflict where it is in another state.
	BeginRemoval(ctx context.Context, r realms.Realm, export bool, e audit.Entry) error
	MarkExported(ctx context.Context, r realms.Realm, where string, e audit.Entry) error
	KeepInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error   // removing → ready
	DeleteInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error // removing → gone
}

// DeviceStore keeps devices and their sealed secrets.
type DeviceStore interface {
	Device(ctx context.Context, key wire.Key) (Device, error)
	DeviceNamed(ctx context.Context, project wire.Key, name string) (Device, error)
	DeviceWithSerial(ctx context.Context, s wire.Serial) (Device, error)
	Devices(ctx context.Context, project wire.Key, afterName string, limit int) ([]Device, error)
	// InsertDevice has kind NotFound where the project does not exist or is removing.
	InsertDevice(ctx context.Context, d Device, s DeviceSecret, e audit.Entry) error
	UpdateDevice(ctx context.Context, d Device, e audit.Entry) error // name and suspension, as UpdateProject
	// RotateDevice adds the new secret and ends or deletes those before it. ErrRevision as in updates.
	RotateDevice(ctx context.Context, change DeviceRotation, e audit.Entry) error
	DeviceSecrets(ctx context.Context, device wire.Key) ([]DeviceSecret, error) // newest first
	// RetireSecrets deletes the secrets of a device that are older than its newest.
	RetireSecrets(ctx context.Context, s wire.Serial) error
	DeleteDevice(ctx context.Context, key wire.Key, e audit.Entry) error
}

// ServiceStore keeps the service principals of installations.
type ServiceStore interface {
	Services(ctx context.Context, r realms.Realm, afterName string, limit int) ([]Service, error)
	// InsertService has kind NotFound where the installation is not ready.
	InsertService(ctx context.Context, s Service, sealed []byte, e audit.Entry) error
	DeleteService(ctx context.Context, s Service, e audit.Entry) error
}

// Inventory is all that the directory is made of: what is ready, not what is being made or removed.
type Inventory struct {
	Projects      []Project
	Apps          []App
	Credentials   []Credential // newest epoch first within an app
	Installations []Installation
	Devices       []Device
	Secrets       []DeviceSecret // newest version first within a device
	Services      []SealedService
}

// DeviceRotation gives a device a new secret. Device has the new SecretVersion and revision.
type DeviceRotation struct {
	Device Device
	Next   DeviceSecret
	Until  time.Time // of the secret before it; zero ends it at once
}

// AppRotation gives an app a new credential key. App has the new epoch and revision.
type AppRotation struct {
	App   App
	Next  Credential
	Until time.Time // of the epoch before it
	Now   time.Time
}

// SealedService is a service with its sealed secret.
type SealedService struct {
	Service
	Sealed []byte
}
