package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bulkhead/backend/databackend"
	"bulkhead/backend/httpapi"
	"bulkhead/db"
	"bulkhead/db/provision"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// templateName stands for the file where a template came over the API.
const templateName = "template"

// data is the data plane of all installations: it makes and removes their backends, and knows those that are ready.
type data struct {
	prov    *provision.Provisioner
	ingest  *databackend.Ingest
	history *db.History
	url     databaseAddress
	exports string // directory
	log     *slog.Logger

	mu    sync.RWMutex // guards ready
	ready map[string]databackend.Installation
}

// databaseAddress is where a client reaches the database server.
type databaseAddress struct {
	host string
	port int
}

// Check tells what is wrong with a template.
func (d *data) Check(template []byte) error {
	_, err := databackend.ParseTemplate(templateName, template)
	return err
}

// AgentPublications tells what a template has agents publish.
func (d *data) AgentPublications(template []byte) ([]wire.AgentPublication, error) {
	t, err := databackend.ParseTemplate(templateName, template)
	return t.Agent, err
}

// Provision makes the data backend of an installation and has the ingest serve it.
func (d *data) Provision(ctx context.Context, r realms.Realm, template []byte) error {
	t, err := databackend.ParseTemplate(templateName, template)
	if err != nil {
		return err
	}
	placement, err := d.prov.Provision(ctx, r, t)
	if err != nil {
		return err
	}
	return d.put(databackend.Installation{Realm: r.Name(), Project: r.Project, Template: t, Placement: placement})
}

func (d *data) put(in databackend.Installation) error {
	if err := d.ingest.Put(in); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready[in.Realm] = in
	return nil
}

// Deprovision ends the ingest of an installation and removes its data. The router has ended its realm before.
func (d *data) Deprovision(ctx context.Context, r realms.Realm) error {
	d.mu.Lock()
	delete(d.ready, r.Name())
	d.mu.Unlock()
	if err := d.ingest.Drop(r.Name(), true); err != nil {
		return err
	}
	return d.prov.Deprovision(ctx, r)
}

// load has the ingest serve an installation that an earlier run provisioned.
func (d *data) load(ctx context.Context, r realms.Realm, template []byte) error {
	t, err := databackend.ParseTemplate(templateName, template)
	if err != nil {
		return err
	}
	placement, err := d.prov.Placement(ctx, r)
	if err != nil {
		return err
	}
	return d.put(databackend.Installation{Realm: r.Name(), Project: r.Project, Template: t, Placement: placement})
}

func (d *data) installation(realm string) (databackend.Installation, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	in, ok := d.ready[realm]
	if !ok {
		return in, errs.E(wire.NotFound, "the realm has no data backend")
	}
	return in, nil
}

func (d *data) table(realm, name string) (databackend.Installation, databackend.Table, error) {
	in, err := d.installation(realm)
	if err != nil {
		return in, databackend.Table{}, err
	}
	t, ok := in.Template.Table(name)
	if !ok {
		return in, t, errs.E(wire.NotFound, "no such table")
	}
	return in, t, nil
}

// Describe tells the schema and the tables of an installation.
func (d *data) Describe(_ context.Context, r realms.Realm) (schema string, tables []string, err error) {
	in, err := d.installation(r.Name())
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
		Host: d.url.host, Port: d.url.port, Database: c.Database, Schema: c.Schema, User: c.RW.Role, Password: string(c.RW.Password.Reveal()),
	}, nil
}

// ExportTable writes all rows of a table, those that wait in the spill included where the database takes them in time.
func (d *data) ExportTable(ctx context.Context, r realms.Realm, table, format string, w io.Writer) error {
	if format != "csv" {
		return errs.E(wire.Invalid, "format %q: want csv", format)
	}
	in, t, err := d.table(r.Name(), table)
	if err != nil {
		return err
	}
	if err := d.ingest.Flush(ctx, r.Name()); err != nil {
		return err
	}
	return d.history.Export(ctx, in.Placement, t, w)
}

// Export keeps all rows of an installation in files of the server, one a table.
func (d *data) Export(ctx context.Context, r realms.Realm, _ []byte) (string, error) {
	in, err := d.installation(r.Name())
	if err != nil {
		return "", err
	}
	dir := filepath.Join(d.exports, fmt.Sprintf("%s-%s", r.Name(), time.Now().UTC().Format("20060102T150405Z")))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", errs.As(wire.Unavailable, err, "the export cannot be written")
	}
	for _, t := range in.Template.Tables {
		if err := d.exportFile(ctx, r, t.Name, filepath.Join(dir, t.Name+".csv")); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (d *data) exportFile(ctx context.Context, r realms.Realm, table, file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the export cannot be written")
	}
	if err := d.ExportTable(ctx, r, table, "csv", f); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return errs.As(wire.Unavailable, err, "the export cannot be written")
	}
	return errs.As(wire.Unavailable, f.Close(), "the export cannot be written")
}

// storedSince reports whether a table has a row that was taken at or after a time.
func (d *data) storedSince(ctx context.Context, realm, table string, since time.Time) (bool, error) {
	in, _, err := d.table(realm, table)
	if err != nil {
		return false, err
	}
	answer, err := databackend.NewHistory(d.history, in).Query(ctx, table, databackend.Caller{}, map[string]any{
		"limit": int64(1), "timeRange": []any{since.UnixMilli(), nil},
	})
	rows, _ := answer.([]wire.Row)
	return len(rows) > 0, err
}

// healthy fails where an installation's rows do not reach the database.
func (d *data) healthy(context.Context) error {
	for _, s := range d.ingest.Stats() {
		if s.State != databackend.Flowing {
			return errs.E(wire.Unavailable, "rows of %s wait on disk: %s", s.Realm, s.State)
		}
	}
	return nil
}

// stop stores what was accepted.
func (d *data) stop() { d.ingest.Stop() }
