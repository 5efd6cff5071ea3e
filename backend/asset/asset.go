// Package asset keeps what projects own: apps, installations, devices and the service principals of installations.
//
// It promises that a realm is in the router's directory only while its installation is completely provisioned, that an
// installation is made and removed wholly or not at all and that a crash at any step is repaired at the next start, that
// what the router sees follows the commits in their order, that a secret leaves this package once, in the answer to the
// one who asked for it to be made, and that each change writes its audit entry in the same transaction.
package asset

import (
	"crypto/ed25519"
	"time"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Project is a tenant: it owns devices and installations, and nothing crosses its boundary.
type Project struct {
	Key       wire.Key  `json:"key"`
	Name      string    `json:"name"`
	Title     string    `json:"title,omitempty"`
	Removing  bool      `json:"removing,omitempty"` // its realms are gone and its data is being removed
	Revision  int64     `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
}

// App is software that projects install.
type App struct {
	Key       wire.Key  `json:"key"`
	Name      string    `json:"name"`
	Title     string    `json:"title,omitempty"`
	Owner     wire.Key  `json:"owner_key,omitempty"` // the project that owns it and alone may install it; zero for the platform's, which all may
	Epoch     int       `json:"epoch"`               // of the current credential key
	Revision  int64     `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
}

// Credential is one epoch of an app's credential key, sealed.
type Credential struct {
	App    wire.Key
	Epoch  int
	Sealed []byte
	Until  time.Time // zero for the current epoch
}

// State is where an installation is in its life.
type State string

// The states.
const (
	Provisioning State = "provisioning"
	Ready        State = "ready"
	Removing     State = "removing"
)

// Installation is an app in a project at a stage. Its identity is its realm.
type Installation struct {
	Realm           realms.Realm `json:"-"`
	App             string       `json:"app"`     // name
	Project         string       `json:"project"` // name
	State           State        `json:"state"`
	Template        []byte       `json:"-"`
	TemplateVersion int          `json:"template_version"`
	ExportWanted    bool         `json:"export_wanted,omitempty"`
	ExportedTo      string       `json:"exported_to,omitempty"`
	CreatedAt       time.Time    `json:"created_at"`
}

// Device is a machine of a project.
type Device struct {
	Key           wire.Key    `json:"key"`
	Project       wire.Key    `json:"project_key"`
	Name          string      `json:"name"`
	Serial        wire.Serial `json:"serial"`
	Suspended     bool        `json:"suspended"`
	SecretVersion int         `json:"secret_version"`
	Revision      int64       `json:"revision"`
	CreatedAt     time.Time   `json:"created_at"`
}

// DeviceSecret is one version of a device's secret, sealed.
type DeviceSecret struct {
	Device  wire.Key
	Version int
	Sealed  []byte
	Until   time.Time // accepted before this time; zero for the newest version
}

// Service is a principal that may do anything in the realm of one installation.
type Service struct {
	Realm     realms.Realm `json:"-"`
	Name      string       `json:"name"`
	CreatedAt time.Time    `json:"created_at"`
}

// AuthID is the name under which the service joins.
func (s Service) AuthID() string { return "service:" + s.Name }

// Enrolment is what a device is told of this server in its flash file.
type Enrolment struct {
	Router   string            // wss://HOST/ws-agent
	CA       string            // PEM certificates that sign the router's
	GrantKey ed25519.PublicKey // verifies tunnel grants
}

// AppLogin is what an app on a device joins its data realm with.
type AppLogin struct {
	AuthID string
	Secret secret.Value
}
