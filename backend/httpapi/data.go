package httpapi

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// chunkTimeout is how long the receiver of an export may take for what one write hands it.
const chunkTimeout = 30 * time.Second

type exportInput struct {
	DataRealmPath
	Table  string `path:"table" maxLength:"63" doc:"Name of a table"`
	Format string `query:"format" enum:"csv" default:"csv" doc:"Form of the export"`
}

func (a *API) registerData() {
	handle(a, route{method: http.MethodGet, path: "/realms/{realm}/database-credentials", id: "reveal-database-credentials", tag: "data", summary: "Reveal a database login of the installation", flag: wire.DataBackendRevealSecret}, a.revealDatabaseCredential)
	handle(a, route{method: http.MethodGet, path: "/realms/{realm}/tables/{table}/export", id: "export-table", tag: "data", summary: "Download all rows of a table; a download that ends early is cut off, not ended", flag: wire.DataBackendExport, timeout: -1}, a.exportTable)
}

func dataAsset(p RealmPath, more string) audit.Asset {
	return audit.Asset{Kind: "data_backend", Name: p.realm.Name() + more}
}

func (a *API) revealDatabaseCredential(ctx context.Context, c caller, in *DataRealmPath) (*reply[DatabaseCredential], error) {
	credential, err := a.Backends.Credential(ctx, in.realm)
	if err != nil {
		return nil, err
	}
	entry := audit.New(c.actor, audit.CredentialReveal, in.realm.Project, dataAsset(in.RealmPath, ""))
	if err := a.Audit.Record(ctx, entry); err != nil {
		return nil, err
	}
	return &reply[DatabaseCredential]{Body: credential}, nil
}

func (a *API) exportTable(ctx context.Context, c caller, in *exportInput) (*huma.StreamResponse, error) {
	_, tables, err := a.Backends.Describe(ctx, in.realm)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(tables, in.Table) {
		return nil, errs.E(wire.NotFound, "no such table")
	}
	entry := audit.New(c.actor, audit.TableExport, in.realm.Project, dataAsset(in.RealmPath, "/"+in.Table))
	if err := a.Audit.Record(ctx, entry); err != nil {
		return nil, err
	}
	if a.exports.take(in.realm.Project) != nil { // a receiver can make one last as long as it likes
		return nil, errs.E(wire.Exhausted, "too many exports at once: wait until one is done")
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer a.exports.give(in.realm.Project)
		a.stream(hc, c, in)
	}}, nil
}

// stream writes the export. What fails before the first byte is a problem document; what fails later cuts the connection,
// so that a part is not taken for the whole.
func (a *API) stream(hc huma.Context, c caller, in *exportInput) {
	r, w := humago.Unwrap(hc)
	ctx, done := a.downloads.begin(r.Context(), opening{by: c.by, flag: wire.DataBackendExport, on: dataTarget(in.realm)})
	defer done()
	out := &download{ctx: ctx, w: w, control: http.NewResponseController(w), name: in.Table + "." + in.Format}
	defer context.AfterFunc(ctx, out.cut)()
	a.Reconsider() // what was revoked before it was known to be open
	err := a.Backends.ExportTable(ctx, in.realm, in.Table, in.Format, out)
	if err == nil {
		out.begin() // of a table without rows
		return
	}
	a.logged(r.Context(), "export-table", err)
	if out.begun {
		panic(http.ErrAbortHandler)
	}
	write(w, problemOf(r.Context(), err))
}

// download begins an answer with its first byte, and gives its receiver time for each write.
type download struct {
	ctx     context.Context // ends when it is not allowed any more
	w       http.ResponseWriter
	control *http.ResponseController
	name    string
	begun   bool
}

var _ io.Writer = (*download)(nil)

func (d *download) begin() {
	if d.begun {
		return
	}
	d.begun = true
	h := d.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	d.w.WriteHeader(http.StatusOK)
}

// cut ends a write that waits for its receiver.
func (d *download) cut() { _ = d.control.SetWriteDeadline(time.Now()) }

func (d *download) Write(b []byte) (int, error) {
	d.begin()
	_ = d.control.SetWriteDeadline(time.Now().Add(chunkTimeout)) // not every test's writer can
	if err := d.ctx.Err(); err != nil {                          // also where it ended before the line above
		return 0, err
	}
	return d.w.Write(b)
}
