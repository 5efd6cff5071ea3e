// Package realms knows which realms exist, how they are named, which roles they have and what a role may do in one.
//
// It promises that a realm's name is derived here and nowhere else, that a decision is a pure function of values which
// denies what it does not know, and that a pattern is allowed only where every URI that it matches is allowed.
package realms

import (
	"errors"
	"strings"

	"bulkhead/wire"
)

// Kind tells what a realm is for. The zero Kind is no realm.
type Kind uint8

// The kinds of realm.
const (
	NoRealm Kind = iota
	Data         // the realm of one installation
	Devices      // the realm in which a project's agents are managed
)

// Realm is the identity of a realm. App and Stage are set where Kind is Data.
type Realm struct {
	Kind    Kind
	Project wire.Key
	App     wire.Key
	Stage   wire.Stage
}

// ErrName is returned for text that names no realm.
var ErrName = errors.New("not a realm name: want realm-<project key>-<app key>-<dev or prod> or device-<project key>")

// OfInstallation is the data realm of an app in a project at a stage.
func OfInstallation(project, app wire.Key, stage wire.Stage) Realm {
	return Realm{Kind: Data, Project: project, App: app, Stage: stage}
}

// OfProject is the device realm of a project.
func OfProject(project wire.Key) Realm { return Realm{Kind: Devices, Project: project} }

// Name gives the realm's name on the wire, and "" for the zero Realm.
func (r Realm) Name() string {
	switch r.Kind {
	case Data:
		return "realm-" + r.Project.String() + "-" + r.App.String() + "-" + string(r.Stage)
	case Devices:
		return "device-" + r.Project.String()
	default:
		return ""
	}
}

// Parse reads a realm's name; Parse(r.Name()) is r for every realm, and each realm has one name only.
func Parse(name string) (Realm, error) {
	if project, ok := strings.CutPrefix(name, "device-"); ok {
		key, err := wire.ParseKey(project)
		if err != nil {
			return Realm{}, ErrName
		}
		return OfProject(key), nil
	}
	parts := strings.Split(name, "-")
	if len(parts) != 4 || parts[0] != "realm" {
		return Realm{}, ErrName
	}
	project, errProject := wire.ParseKey(parts[1])
	app, errApp := wire.ParseKey(parts[2])
	stage, errStage := wire.ParseStage(parts[3])
	if errors.Join(errProject, errApp, errStage) != nil {
		return Realm{}, ErrName
	}
	return OfInstallation(project, app, stage), nil
}
