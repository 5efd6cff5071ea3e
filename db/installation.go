package db

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

const (
	selectInstallations = `SELECT i.project_key, i.app_key, i.stage, p.name, a.name, i.state, i.template, ` + restOfInstallations
	// listInstallations leaves the templates out: a page of them may be large, and a list does not show them.
	listInstallations   = `SELECT i.project_key, i.app_key, i.stage, p.name, a.name, i.state, ''::bytea, ` + restOfInstallations
	restOfInstallations = `i.template_version, i.export_wanted, COALESCE(i.exported_to, ''), i.created_at
	FROM installation i JOIN project p ON p.key = i.project_key JOIN app a ON a.key = i.app_key`
)

const whereRealm = ` WHERE project_key = $1 AND app_key = $2 AND stage = $3`

func scanInstallation(row pgx.CollectableRow) (in asset.Installation, err error) {
	in.Realm.Kind = realms.Data
	err = row.Scan(&in.Realm.Project, &in.Realm.App, &in.Realm.Stage, &in.Project, &in.App, &in.State, &in.Template, &in.TemplateVersion,
		&in.ExportWanted, &in.ExportedTo, &in.CreatedAt)
	in.CreatedAt = in.CreatedAt.UTC()
	return in, err
}

// Installation finds an installation by its realm.
func (a *Assets) Installation(ctx context.Context, r realms.Realm) (asset.Installation, error) {
	in, err := first(ctx, a.db.pool, scanInstallation, selectInstallations+whereRealm, r.Project, r.App, r.Stage)
	return in, found("installation", err)
}

// Installations lists those of a project, or of all where project is zero, in the order of project, app and stage, without
// their templates.
func (a *Assets) Installations(ctx context.Context, project wire.Key, after realms.Realm, limit int) ([]asset.Installation, error) {
	list, err := list(ctx, a.db.pool, scanInstallation, listInstallations+`
		WHERE ($1::bigint = 0 OR project_key = $1) AND (project_key, app_key, stage) > ($2::bigint, $3::bigint, $4::text)
		ORDER BY project_key, app_key, stage LIMIT $5`, project, after.Project, after.App, string(after.Stage), limit)
	return list, Error("db: installations", err)
}

// InstallationsUnfinished lists those that are being made or removed.
func (a *Assets) InstallationsUnfinished(ctx context.Context) ([]asset.Installation, error) {
	list, err := list(ctx, a.db.pool, scanInstallation, selectInstallations+` WHERE i.state <> 'ready' ORDER BY i.created_at`)
	return list, Error("db: installations", err)
}

// BeginInstallation inserts it as provisioning.
func (a *Assets) BeginInstallation(ctx context.Context, in asset.Installation, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProject(ctx, tx, in.Realm.Project); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO installation (project_key, app_key, stage, state, template, template_version, created_at)
			VALUES ($1, $2, $3, 'provisioning', $4, $5, $6)`,
			in.Realm.Project, in.Realm.App, in.Realm.Stage, in.Template, in.TemplateVersion, in.CreatedAt)
		return err
	})
}

// FinishInstallation: provisioning → ready.
func (a *Assets) FinishInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return a.move(ctx, r, e, `UPDATE installation SET state = 'ready'`+whereRealm+` AND state = 'provisioning'`, missing("installation"))
}

// errBusy tells that a step does not fit the state of the installation.
var errBusy = errs.E(wire.Conflict, "the installation is being made or removed: wait until that is done")

// AbandonInstallation: provisioning → removing.
func (a *Assets) AbandonInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return a.move(ctx, r, e, `UPDATE installation SET state = 'removing'`+whereRealm+` AND state = 'provisioning'`, errBusy)
}

// BeginRemoval: ready → removing.
func (a *Assets) BeginRemoval(ctx context.Context, r realms.Realm, export bool, e audit.Entry) error {
	return a.move(ctx, r, e, `UPDATE installation SET state = 'removing', export_wanted = $4`+whereRealm+` AND state = 'ready'`, errBusy, export)
}

// MarkExported says where the export is that was wanted before the removal.
func (a *Assets) MarkExported(ctx context.Context, r realms.Realm, where string, e audit.Entry) error {
	return a.move(ctx, r, e, `UPDATE installation SET exported_to = $4`+whereRealm+` AND state = 'removing'`, missing("installation"), where)
}

// KeepInstallation: removing → ready, where the project stays too.
func (a *Assets) KeepInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return a.move(ctx, r, e, `UPDATE installation SET state = 'ready', export_wanted = false`+whereRealm+` AND state = 'removing'
		AND NOT (SELECT removing FROM project WHERE key = $1)`, missing("installation"))
}

// DeleteInstallation deletes one that is removing.
func (a *Assets) DeleteInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return a.move(ctx, r, e, `DELETE FROM installation`+whereRealm+` AND state = 'removing'`, missing("installation"))
}

// move runs a statement that changes the one installation of r where it is in the right state.
func (a *Assets) move(ctx context.Context, r realms.Realm, e audit.Entry, sql string, otherwise error, more ...any) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, append([]any{r.Project, r.App, r.Stage}, more...)...)
		return touched(tag, err, otherwise)
	})
}
