package server

import (
	"context"
	"io"
	"time"

	"bulkhead/backend/asset"
	"bulkhead/backend/databackend"
	"bulkhead/backend/httpapi"
	"bulkhead/db"
	"bulkhead/db/provision"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// templates reads the templates of installations where their assets are kept.
type templates struct{ store asset.InstallationStore }

// Template gives the template with which an installation was made.
func (t templates) Template(ctx context.Context, r realms.Realm) ([]byte, error) {
	in, err := t.store.Installation(ctx, r)
	return in.Template, err
}

// data shows the data of installations to the API.
type data struct {
	backends *databackend.Backends
	prov     *provision.Provisioner
	history  *db.History
	address  databaseAddress
}

// databaseAddress is where a client reaches the database server.
type databaseAddress struct {
	host string
	port int
}

func (d *data) installation(ctx context.Context, r realms.Realm) (databackend.Installation, error) {
	text, err := d.backends.Templates.Template(ctx, r)
	if err != nil {
		return databackend.Installation{}, err
	}
	t, err := databackend.ParseTemplate("template", text)
	if err != nil {
		return databackend.Installation{}, errs.As(wire.Internal, err, "the stored template cannot be read")
	}
	placement, err := d.prov.Placement(ctx, r)
	return databackend.Installation{Realm: r.Name(), Project: r.Project, Template: t, Placement: placement}, err
}

// Describe tells the schema and the tables of an installation.
func (d *data) Describe(ctx context.Context, r realms.Realm) (schema string, tables []string, err error) {
	in, err := d.installation(ctx, r)
	for _, t := range in.Template.Tables {
		tables = append(tables, t.Name)
	}
	return in.Placement.Schema, tables, err
}

// Credential reveals a login that reads and adds rows of one installation and does nothing else.
func (d *data) Credential(ctx context.Context, r realms.Realm) (httpapi.DatabaseCredential, error) {
	c, err := d.prov.Credentials(ctx, r)
	if err != nil {
		return httpapi.DatabaseCredential{}, err
	}
	return httpapi.DatabaseCredential{
		Host: d.address.host, Port: d.address.port, Database: c.Database, Schema: c.Schema, User: c.RW.Role, Password: string(c.RW.Password.Reveal()),
	}, nil
}

// ExportTable writes all rows of a table, those among them that waited on disk.
func (d *data) ExportTable(ctx context.Context, r realms.Realm, table, format string, w io.Writer) error {
	if format != "csv" {
		return errs.E(wire.Invalid, "format %q: want csv", format)
	}
	in, err := d.installation(ctx, r)
	if err != nil {
		return err
	}
	t, ok := in.Template.Table(table)
	if !ok {
		return errs.E(wire.NotFound, "no such table")
	}
	if err := d.backends.Ingest.Flush(ctx, in.Realm); err != nil {
		return err
	}
	return d.history.Export(ctx, in.Placement, t, w)
}

// storedSince reports whether a table has a row that was taken at or after a time.
func (d *data) storedSince(ctx context.Context, r realms.Realm, table string, since time.Time) (bool, error) {
	in, err := d.installation(ctx, r)
	if err != nil {
		return false, err
	}
	answer, err := databackend.NewHistory(d.history, in).Query(ctx, table, databackend.Caller{}, map[string]any{
		"limit": int64(1), "timeRange": []any{since.UnixMilli(), nil},
	})
	rows, _ := answer.([]wire.Row)
	return len(rows) > 0, err
}

// healthy fails where rows do not reach the database.
func (d *data) healthy(context.Context) error { return flowing(d.backends.Ingest.Stats()) }

// flowing fails where the database refuses us, or the rows of more than half of all projects wait. A project can have its own
// rows wait, by what a database login of its own holds: that is no reason to take the server from the others.
func flowing(all []databackend.Stats) error {
	projects, behind := map[wire.Key]bool{}, map[wire.Key]bool{}
	var waits databackend.Stats
	for _, s := range all {
		r, err := realms.Parse(s.Realm)
		if s.State == databackend.Stopped || err != nil {
			return errs.E(wire.Unavailable, "rows of %s wait on disk: %s", s.Realm, s.State)
		}
		projects[r.Project] = true
		if s.State != databackend.Flowing {
			behind[r.Project], waits = true, s
		}
	}
	if 2*len(behind) > len(projects) {
		return errs.E(wire.Unavailable, "rows of %d projects wait on disk, those of %s among them: %s", len(behind), waits.Realm, waits.State)
	}
	return nil
}
