package privilege

import (
	"encoding/json"
	"fmt"
	"strings"

	"bulkhead/wire"
)

// Event is an entry of the record, as far as grants are told by it.
type Event struct {
	Action    string
	Project   wire.Key
	AssetKind string
	AssetKey  wire.Key
	AssetName string
	Before    json.RawMessage
	After     json.RawMessage
}

// The actions that Fold knows beside those that delete assets.
const (
	GrantCreate  = "grant.create"
	GrantUpdate  = "grant.update"
	GrantRevoke  = "grant.revoke"
	MemberRemove = "member.remove"
)

// Fold gives the grants that there are after all that the record tells, in its order: the table of grants must have these
// and no others. A grant ends with what it is on, and with its holder's membership.
func Fold(events []Event) (map[wire.Key]Grant, error) {
	grants := map[wire.Key]Grant{}
	for i, e := range events {
		if err := fold(grants, e); err != nil {
			return nil, fmt.Errorf("privilege: fold: entry %d (%s): %w", i, e.Action, err)
		}
	}
	return grants, nil
}

func fold(grants map[wire.Key]Grant, e Event) error {
	switch e.Action {
	case GrantCreate, GrantUpdate:
		var g Grant
		if err := json.Unmarshal(e.After, &g); err != nil {
			return err
		}
		grants[g.Key] = g
		return nil
	case GrantRevoke:
		var g Grant
		if err := json.Unmarshal(e.Before, &g); err != nil {
			return err
		}
		delete(grants, g.Key)
		return nil
	case MemberRemove:
		var m Member
		if err := json.Unmarshal(e.Before, &m); err != nil {
			return err
		}
		drop(grants, func(g Grant) bool { return g.Asset.Project == m.Project && g.Principal == m.Principal })
		return nil
	}
	if ended := endedBy(e); ended != nil {
		drop(grants, ended)
	}
	return nil
}

func drop(grants map[wire.Key]Grant, which func(Grant) bool) {
	for key, g := range grants {
		if which(g) {
			delete(grants, key)
		}
	}
}

// endedBy tells which grants go with an asset that an entry says is gone; nil where none is.
func endedBy(e Event) func(Grant) bool {
	on := func(kind wire.AssetKind) func(Grant) bool {
		return func(g Grant) bool { return g.Asset.Kind == kind && g.Asset.Key == e.AssetKey }
	}
	switch e.Action {
	case "project.delete":
		return func(g Grant) bool { return g.Asset.Project == e.AssetKey }
	case "device.revoke":
		return on(wire.AssetDevice)
	case "group.delete":
		return on(wire.AssetGroup)
	case "app.delete":
		return on(wire.AssetApp)
	case "installation.delete":
		return ofInstallation(e)
	case "user.delete", "service_account.delete":
		return func(g Grant) bool { return g.Principal == e.AssetKey }
	default:
		return nil
	}
}

// ofInstallation are the grants on the data backend of an installation, which the record names by its app's key and by
// PROJECT/APP@STAGE.
func ofInstallation(e Event) func(Grant) bool {
	_, stage, _ := strings.Cut(e.AssetName, "@")
	gone := DataAsset(e.Project, e.AssetKey, wire.Stage(stage))
	return func(g Grant) bool { return g.Asset == gone }
}
