package httpapi

import (
	"context"
	"slices"
	"strings"

	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// referred is an asset that a request names in words, in its query or body.
type referred struct {
	on    Target
	asset privilege.Asset
	name  string // as one types it
}

// grantable are the kinds of asset that exist and that grants are on.
var grantable = []wire.AssetKind{wire.AssetProject, wire.AssetDevice, wire.AssetGroup, wire.AssetApp, wire.AssetDataBackend}

// refer finds an asset by KIND:REF. It may not be seen: that is for admit to say.
func (a *API) refer(ctx context.Context, text string) (referred, error) {
	kind, ref, ok := strings.Cut(text, ":")
	if !ok || !slices.Contains(grantable, wire.AssetKind(kind)) {
		return referred{}, errs.E(wire.Invalid, "asset: want project:PROJECT, device:PROJECT/NAME, group:PROJECT/NAME, app:APP or data_backend:PROJECT/APP@STAGE")
	}
	var path targeted
	var name func() string
	switch wire.AssetKind(kind) {
	case wire.AssetProject:
		p := &ProjectPath{Project: ref}
		path, name = p, func() string { return p.found.Name }
	case wire.AssetDevice:
		p := &AnyDevicePath{Device: ref}
		path, name = p, func() string { return a.projectName(p.dev.Project) + "/" + p.dev.Name }
	case wire.AssetGroup:
		p := &anyGroupPath{ref: ref}
		path, name = p, func() string { return a.projectName(p.group.Project) + "/" + p.group.Name }
	case wire.AssetApp:
		p := &AppPath{App: ref}
		path, name = p, func() string { return p.found.Name }
	default:
		p := &DataRealmPath{RealmPath{Realm: ref}}
		path, name = p, func() string {
			r := a.Assets.NameRealm(p.realm)
			return r.ProjectName + "/" + r.AppName + "@" + string(p.realm.Stage)
		}
	}
	on, err := path.target(ctx, a)
	if err != nil {
		return referred{}, err
	}
	return referred{on: on, asset: on.asset(), name: name()}, nil
}

// projectName gives the name of a project that exists.
func (a *API) projectName(key wire.Key) string { return a.Assets.ProjectName(key) }

// nameOf gives how one types an asset, where its names are known here; else its key.
func (a *API) nameOf(ctx context.Context, of privilege.Asset) string {
	switch of.Kind {
	case wire.AssetProject:
		return a.projectName(of.Key)
	case wire.AssetDevice:
		if d, err := a.Assets.FindDevice(ctx, of.Key.String()); err == nil {
			return a.projectName(of.Project) + "/" + d.Name
		}
	case wire.AssetGroup:
		if g, err := a.Assets.FindGroup(ctx, of.Key.String()); err == nil {
			return a.projectName(of.Project) + "/" + g.Name
		}
	case wire.AssetApp:
		if app, err := a.Assets.FindApp(ctx, of.Key.String()); err == nil {
			return app.Name
		}
	case wire.AssetDataBackend:
		if app, err := a.Assets.FindApp(ctx, of.Key.String()); err == nil {
			return a.projectName(of.Project) + "/" + app.Name + "@" + string(of.Stage)
		}
	}
	return of.Key.String()
}

// targetOf is an asset as operations know it.
func targetOf(of privilege.Asset) Target {
	if of.Kind == wire.AssetDataBackend {
		return dataTarget(installationRealm(of))
	}
	return Target{Kind: string(of.Kind), Project: of.Project, Key: of.Key}
}

// grantFlag is the flag of a kind of asset that lets one grant on it.
func grantFlag(kind wire.AssetKind) wire.Flag { return wire.Flag(string(kind) + ".grant") }

// flagsOf gives the flags of a request: those that it names, or those of a set as far as the asset has them.
func flagsOf(kind wire.AssetKind, flags []wire.Flag, set string) ([]wire.Flag, error) {
	if set == "" {
		return flags, nil
	}
	named, ok := privilege.Named(set)
	if !ok || len(flags) > 0 {
		return nil, errs.E(wire.Invalid, "name flags, or one set of %s", strings.Join(wire.Sets, ", "))
	}
	return (named & privilege.Grantable(kind)).Flags(), nil
}
