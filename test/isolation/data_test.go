package isolation

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/databackend"
	"bulkhead/backend/rpc"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

const dataTemplate = `
data:
  tables:
    - tablename: metrics
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: text, dataType: string}
    - tablename: secrets
      private: true
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: text, dataType: string}
`

// templates gives every installation the same tables, so that only the realm tells them apart.
type templates struct{}

func (templates) Template(context.Context, realms.Realm) ([]byte, error) {
	return []byte(dataTemplate), nil
}

func (templates) Assignments(context.Context, wire.Serial) (wire.AssignmentsReply, error) {
	return wire.AssignmentsReply{}, nil
}

// newDataWorld is a world with a real database: both projects have installed the same app.
func newDataWorld(t testing.TB) *world {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	a, b := newTenant(), newTenant()
	b.app = a.app
	b.data = realms.OfInstallation(b.project, b.app, wire.Prod)
	provisioner := dbtest.NewProvisioner(t, dbtest.New(t))
	history := db.NewHistory(provisioner)
	backends := &databackend.Backends{Provisioner: provisioner, Templates: templates{}, Tables: history, Exports: t.TempDir()}
	schemas := map[string]string{}
	for name, one := range map[string]tenant{"a": a, "b": b} {
		if err := backends.Provision(t.Context(), one.data, []byte(dataTemplate)); err != nil {
			t.Fatal(err)
		}
		placed, err := provisioner.Placement(t.Context(), one.data)
		if err != nil {
			t.Fatal(err)
		}
		schemas[name] = placed.Schema
	}
	var server *rpc.Server
	ingest, err := databackend.NewIngest(databackend.Config{
		Dir: t.TempDir(), Writer: db.NewIngest(provisioner), Log: quiet, OnStored: func(st databackend.Stored) { server.Stored(st) },
		Limits: databackend.Limits{BatchDelay: 5 * time.Millisecond, MinFree: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	backends.Ingest = ingest
	w := makeWorld(t, ingest, a, b)
	w.schemas = schemas
	server = rpc.New(rpc.Config{Router: w.router, Installations: backends, Ingest: ingest, Reader: history, Assignments: templates{}, Log: quiet})
	w.serve(t)
	t.Cleanup(func() {
		server.Stop()
		ingest.Stop()
	})
	w.router.Apply(w.directory())
	server.Apply(w.directory())
	ctx, cancel := context.WithTimeout(t.Context(), lineTimeout)
	defer cancel()
	server.Await(ctx)
	if absent := server.Absent(); len(absent) > 0 {
		t.Fatalf("not served: %v", absent)
	}
	return w
}

// witness is a session that notes the rows it is told of.
type witness struct {
	*wampx.Session
	name   string
	tenant tenant

	mu    sync.Mutex // guards heard
	heard []string
	ended chan struct{}
}

// last is the text of the row that ends what witnesses note.
const last = "the end of "

func (w *world) witness(t *testing.T, who string, serializer wampx.Serializer) *witness {
	t.Helper()
	project, _, _ := strings.Cut(who, "/")
	s, err := w.join(t.Context(), who, project+".data", serializer)
	if err != nil {
		t.Fatalf("%s: %v", who, err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	one := &witness{Session: s, name: who, tenant: w.tenants[project], ended: make(chan struct{})}
	if _, err := s.SubscribeURI(t.Context(), "transformed.", wampx.Prefix, one.note); err != nil {
		t.Fatal(err)
	}
	return one
}

func (w *witness) note(_ context.Context, e wampx.Event) {
	text := asJSON(e.Args)
	if strings.Contains(text, last) {
		close(w.ended)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, text)
}

func asJSON(v any) string {
	encoded, _ := json.Marshal(v)
	return string(encoded)
}

// all is what the witness is told of, and what history, series and the list of refusals tell it.
func (w *witness) all(t *testing.T) map[string]string {
	t.Helper()
	<-w.ended
	w.mu.Lock()
	found := map[string]string{"events": asJSON(w.heard)}
	w.mu.Unlock()
	everything := map[string]any{"timeRange": []any{0, nil}, "limit": 1000}
	for _, table := range []string{"metrics", "secrets"} {
		count := map[string]any{"timeRange": []any{0, nil}, "bucketMs": 1000 * 86400 * 36500, "limit": 1,
			"metrics": []any{map[string]any{"ref": "text", "method": "MIN"}, map[string]any{"ref": "tsp", "method": "COUNT"}}, "groupBy": []any{"device_key"}}
		for uri, ask := range map[string]any{
			wire.HistoryProcedure(table).URI: everything, wire.SeriesProcedure(table).URI: count, wire.RowErrorsProcedure(table).URI: nil,
		} {
			args, _, err := w.CallURI(t.Context(), uri, []any{ask}, nil, nil)
			if err != nil {
				t.Errorf("%s: %s: %v", w.name, uri, err)
			}
			found[uri] = asJSON(args)
		}
	}
	return found
}

// hand hands in rows of both tables in every way there is, with the same times and numbers whoever does it, one row that does
// not fit, and claims to be each of others.
func (w *witness) hand(t *testing.T, mark string, others ...realms.Device) {
	t.Helper()
	p, a := w.tenant.project, w.tenant.app
	seq := map[string]any{"seq": 1}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
	}
	for _, table := range []string{"metrics", "secrets"} {
		row := func(at int) map[string]any {
			return map[string]any{"tsp": 1767225600000 + at, "text": fmt.Sprint(mark, " ", at)}
		}
		_, _, err := w.CallURI(t.Context(), wire.AppendProcedure(p, a, table).URI, []any{row(1)}, seq, nil)
		must(err)
		_, _, err = w.CallURI(t.Context(), wire.AppendBulkProcedure(p, a, table).URI, []any{[]any{row(2), row(3)}}, seq, nil)
		must(err)
		must(w.PublishURI(t.Context(), wire.TableTopic(p, a, table), []any{row(4)}, seq, wampx.PublishOptions{}))
		must(w.PublishURI(t.Context(), wire.BulkTopic(p, a, table), []any{[]any{row(5), row(6)}}, seq, wampx.PublishOptions{}))
		for _, other := range others {
			claim := row(7)
			claim["device_key"], claim["authid"] = uint64(other.Key), string(other.Serial)
			must(w.PublishURI(t.Context(), wire.TableTopic(p, a, table), []any{claim}, seq, wampx.PublishOptions{}))
		}
		if err := w.PublishURI(t.Context(), wire.TableTopic(p, a, table), []any{map[string]any{"text": 1}}, nil, wampx.PublishOptions{}); err == nil {
			t.Errorf("%s: a row that does not fit was stored", w.name)
		}
	}
}

func TestRowsStayInTheirProject(t *testing.T) {
	t.Parallel()
	w := newDataWorld(t)
	for name, serializer := range serializers {
		t.Run(name, func(t *testing.T) { // one after the other: they hand in the same rows
			witnesses := map[string]*witness{}
			for _, who := range []string{"a/device-1", "a/device-2", "a/service", "b/device-1", "b/service"} {
				witnesses[who] = w.witness(t, who, serializer)
			}
			a, b := w.tenants["a"], w.tenants["b"]
			witnesses["a/device-1"].hand(t, "of a-1", a.devices[1], b.devices[0])
			witnesses["a/device-2"].hand(t, "of a-2", a.devices[0], b.devices[0])
			witnesses["b/device-1"].hand(t, "of b-1", a.devices[0])
			for _, who := range []string{"a/device-1", "b/device-1"} {
				one := witnesses[who]
				uri := wire.AppendProcedure(one.tenant.project, one.tenant.app, "metrics").URI
				if _, _, err := one.CallURI(t.Context(), uri, []any{map[string]any{"tsp": 1, "text": last + name}}, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			for who, one := range witnesses {
				one.judge(t, who, a, b)
			}
		})
	}
}

// judge looks for what the witness must have been told, and for what it must not.
func (w *witness) judge(t *testing.T, who string, a, b tenant) {
	t.Helper()
	own, others := "of a-", []string{"of b-", string(b.devices[0].Serial), b.devices[0].Key.String()}
	if strings.HasPrefix(who, "b/") {
		own, others = "of b-", []string{"of a-"}
		for _, d := range a.devices {
			others = append(others, string(d.Serial), d.Key.String())
		}
	}
	for where, text := range w.all(t) {
		for _, mark := range others {
			if strings.Contains(text, mark) {
				t.Errorf("%s: %s tells of another project (%s): %s", who, where, mark, text)
			}
		}
		if !strings.Contains(where, "errors") && !strings.Contains(text, own) {
			t.Errorf("%s: %s tells nothing: %s", who, where, text)
		}
		private := strings.Contains(where, "secrets")
		for i, stranger := range map[string]string{"a/device-1": "2", "a/device-2": "1"} {
			if private && i == who && (strings.Contains(text, "of a-"+stranger) || strings.Contains(text, string(a.devices[stranger[0]-'1'].Serial))) {
				t.Errorf("%s: %s tells of another device's private rows: %s", who, where, text)
			}
		}
	}
}

func TestRowsOfAnotherProjectAreNotTaken(t *testing.T) {
	t.Parallel()
	w := newDataWorld(t)
	for name, serializer := range serializers {
		for _, who := range []string{"a/device-1", "a/service"} {
			s, err := w.join(t.Context(), who, "a.data", serializer)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close(context.Background()) })
			b := w.tenants["b"]
			row, uri := map[string]any{"text": "of a"}, wire.AppendProcedure(b.project, b.app, "metrics").URI
			if _, _, err := s.CallURI(t.Context(), uri, []any{row}, nil, nil); err == nil {
				t.Errorf("%s: %s appends to another project", name, who)
			}
			err = s.PublishURI(t.Context(), wire.TableTopic(b.project, b.app, "metrics"), []any{row}, nil, wampx.PublishOptions{})
			if err == nil && who != "a/service" { // to a service it is a name like any other, in its own realm
				t.Errorf("%s: %s publishes to another project", name, who)
			}
		}
	}
	reader := w.witness(t, "b/service", wampx.JSON)
	args, _, err := reader.CallURI(t.Context(), wire.HistoryProcedure("metrics").URI, []any{map[string]any{"limit": 10}}, nil, nil)
	if err != nil || asJSON(args) != "[[]]" {
		t.Errorf("b has %s, %v", asJSON(args), err)
	}
}
