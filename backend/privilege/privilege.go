// Package privilege decides: may this principal do this to this asset?
//
// It promises that a decision is a pure function of an immutable snapshot and a time, and takes no memory; that what it does
// not know it denies; that nothing leads from one project into another; that adding a grant never takes anything away; that
// nobody grants what they do not hold; and that it can tell of each decision which rule and which grant made it.
//
// The rule: a suspended principal may do nothing. An owner of a project may do all in it, an owner of an app all with it.
// Others must be members of the project; they may do what its defaults say for that kind of asset, and what they are
// granted, at its time: on the asset, on a group that the device is in, or on the project, each as far as the grant names
// flags of that kind. A member who is limited to groups reaches these groups and their devices only, and of the rest what is
// granted on it by name. An API key may do nothing that its scopes do not name and its holder may not.
package privilege

import (
	"strings"
	"time"

	"bulkhead/wire"
)

// Subject is who asks. The zero Subject may do nothing.
type Subject struct {
	Key    wire.Key // of the user or service account
	Scoped bool     // an API key, which may do nothing but its scopes
	Scopes Set
}

// Unbounded reports whether all that its key holds is open to the subject: it is no API key, or one that names everything.
func (s Subject) Unbounded() bool { return !s.Scoped || s.Scopes == known }

// Asset is what is asked about. The key of a data backend is that of its app.
type Asset struct {
	Kind    wire.AssetKind `json:"kind"`
	Project wire.Key       `json:"project_key,omitempty"` // that it belongs to; zero for an app of the platform
	Key     wire.Key       `json:"key"`
	Stage   wire.Stage     `json:"stage,omitempty"` // of a data backend
}

// ProjectAsset is a project itself.
func ProjectAsset(key wire.Key) Asset {
	return Asset{Kind: wire.AssetProject, Project: key, Key: key}
}

// DeviceAsset is a device of a project.
func DeviceAsset(project, key wire.Key) Asset {
	return Asset{Kind: wire.AssetDevice, Project: project, Key: key}
}

// GroupAsset is a group of a project's devices.
func GroupAsset(project, key wire.Key) Asset {
	return Asset{Kind: wire.AssetGroup, Project: project, Key: key}
}

// AppAsset is an app that a project owns, or the platform where that is zero.
func AppAsset(project, key wire.Key) Asset {
	return Asset{Kind: wire.AssetApp, Project: project, Key: key}
}

// DataAsset is the data backend of an installation.
func DataAsset(project, app wire.Key, stage wire.Stage) Asset {
	return Asset{Kind: wire.AssetDataBackend, Project: project, Key: app, Stage: stage}
}

// PlatformAsset is the server as a whole.
var PlatformAsset = Asset{Kind: wire.AssetPlatform}

// String names an asset by its keys.
func (a Asset) String() string {
	parts := []string{string(a.Kind)}
	if a.Key.Valid() {
		parts = append(parts, a.Key.String())
	}
	if a.Stage != "" {
		parts = append(parts, string(a.Stage))
	}
	return strings.Join(parts, ":")
}

// contains lists, for the kinds of asset that a grant may be on, the kinds of flags that it may have.
var contains = map[wire.AssetKind]Set{
	wire.AssetProject: ofKinds(wire.AssetProject, wire.AssetDevice, wire.AssetGroup, wire.AssetApp, wire.AssetDashboard, wire.AssetDataBackend),
	wire.AssetGroup:   ofKinds(wire.AssetGroup, wire.AssetDevice),
	wire.AssetDevice:  ofKinds(wire.AssetDevice), wire.AssetApp: ofKinds(wire.AssetApp),
	wire.AssetDashboard: ofKinds(wire.AssetDashboard), wire.AssetDataBackend: ofKinds(wire.AssetDataBackend),
}

// Grantable gives the flags that a grant on an asset of a kind may have: those of the kind, and of what it contains.
func Grantable(kind wire.AssetKind) Set { return contains[kind] }

// Grant gives a principal flags on an asset, for a time.
type Grant struct {
	Key       wire.Key    `json:"key"`
	Principal wire.Key    `json:"principal_key"`
	Asset     Asset       `json:"asset"`
	Flags     []wire.Flag `json:"flags"`
	From      time.Time   `json:"from,omitzero"`  // zero: since ever
	Until     time.Time   `json:"until,omitzero"` // zero: for ever
	GivenBy   wire.Key    `json:"given_by_key"`
	GivenAt   time.Time   `json:"given_at"`
}

// Member belongs to a project.
type Member struct {
	Project   wire.Key   `json:"project_key"`
	Principal wire.Key   `json:"principal_key"`
	Limited   bool       `json:"limited"` // to Groups
	Groups    []wire.Key `json:"groups,omitempty"`
	AddedAt   time.Time  `json:"added_at"`
}
