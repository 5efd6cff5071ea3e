package provision

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/realms"
)

// Upgrade gives an installation the tables and columns that a new version of its template adds, and its rules about how
// rows are kept. A template that would lose what is stored is a conflict, which says what would be lost. All of
// it is one transaction, and can be repeated after a crash.
func (p *Provisioner) Upgrade(ctx context.Context, realm realms.Realm, template databackend.Template) (databackend.Placement, error) {
	next := shapeOf(template)
	err := p.withPlacement(ctx, realm, func(ctx context.Context, o *operation, placed placement) error {
		if placed.Shape.equal(next) {
			return nil
		}
		if err := placed.Shape.refuseLoss(next); err != nil {
			return err
		}
		if err := o.upgradeTables(ctx, placed, next); err != nil {
			return err
		}
		stored, err := json.Marshal(next)
		if err != nil {
			return err
		}
		_, err = o.conn.Exec(ctx, "UPDATE bulkhead.placement SET template = $2, template_version = template_version + 1 WHERE realm = $1", placed.Realm, stored)
		return err
	})
	if err != nil {
		return databackend.Placement{}, db.Error("provision: upgrade", err)
	}
	return p.Placement(ctx, realm)
}

// upgradeTables makes what is missing; what an earlier attempt made before a crash is there already.
func (o *operation) upgradeTables(ctx context.Context, placed placement, next shape) error {
	return o.in(ctx, placed.Database.Name, func(tx pgx.Tx) error {
		for _, t := range next.Tables {
			if err := o.upgradeTable(ctx, tx, placed, t); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
		return nil
	})
}

func (o *operation) upgradeTable(ctx context.Context, tx pgx.Tx, placed placement, t table) error {
	s := placed.installation()
	var exists bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2)`, s.schema, t.Name).Scan(&exists)
	if err != nil {
		return err
	}
	if !exists {
		return o.createTable(ctx, tx, placed, t)
	}
	for _, c := range t.declared() {
		err := execAll(ctx, tx, "ALTER TABLE "+ident(s.schema, t.Name)+" ADD COLUMN IF NOT EXISTS "+ident(c.ID)+" "+c.Type.SQL())
		if err != nil {
			return err
		}
	}
	return o.keeper(placed.Database).adjust(ctx, tx, s, t)
}
