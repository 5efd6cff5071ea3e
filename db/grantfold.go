package db

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/wire"
)

// folded are the actions that make or end grants; see privilege.Fold.
var folded = []string{
	string(audit.GrantCreate), string(audit.GrantUpdate), string(audit.GrantRevoke), string(audit.MemberRemove), string(audit.GroupDelete),
	string(audit.DeviceRevoke), string(audit.AppDelete), string(audit.InstallationDelete), string(audit.ProjectDelete),
	string(audit.ServiceAccountDelete),
}

// Differences compares the table of grants with what the record tells of them, at one moment. Where there are any, somebody
// has changed the table or the record by hand.
func (p *Privileges) Differences(ctx context.Context) (list []string, err error) {
	err = p.reading(ctx, func(tx pgx.Tx) error {
		events, err := grantEvents(ctx, tx)
		if err != nil {
			return err
		}
		told, err := privilege.Fold(events)
		if err != nil {
			return err
		}
		list, err = compareGrants(ctx, tx, told)
		return err
	})
	return list, Error("db: fold of grants", err)
}

func grantEvents(ctx context.Context, tx pgx.Tx) ([]privilege.Event, error) {
	return list(ctx, tx, func(row pgx.CollectableRow) (e privilege.Event, err error) {
		var text []byte
		if err := row.Scan(&text); err != nil {
			return e, err
		}
		leaf, err := audit.ParseLeaf(text)
		if err != nil {
			return e, err
		}
		of := leaf.Entry
		return privilege.Event{
			Action: string(of.Action), Project: of.Project, AssetKind: of.Asset.Kind, AssetKey: of.Asset.Key, AssetName: of.Asset.Name,
			Before: of.Before, After: of.After,
		}, nil
	}, `SELECT leaf FROM audit_entry WHERE action = ANY($1) ORDER BY sequence`, folded)
}

func compareGrants(ctx context.Context, tx pgx.Tx, told map[wire.Key]privilege.Grant) (differences []string, err error) {
	found, err := list(ctx, tx, scanGrant, selectGrants)
	if err != nil {
		return nil, err
	}
	for _, g := range found {
		switch known, ok := told[g.Key]; {
		case !ok:
			differences = append(differences, fmt.Sprintf("grant %s is in the table and not in the log", g.Key))
		case !reflect.DeepEqual(known, g):
			differences = append(differences, fmt.Sprintf("grant %s is another in the table than in the log", g.Key))
		}
		delete(told, g.Key)
	}
	for key := range told {
		differences = append(differences, fmt.Sprintf("grant %s is in the log and not in the table", key))
	}
	slices.Sort(differences)
	return differences, nil
}
