package agent_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/agent"
	"bulkhead/agent/state"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	project = wire.Key(11)
	app     = wire.Key(22)
	device  = wire.Key(33)
)

var (
	deviceRealm = realms.OfProject(project)
	dataRealm   = realms.OfInstallation(project, app, wire.Prod)
	backend     = realms.Principal{Role: realms.RoleBackend, AuthID: "backend", Project: project}
)

// world is a real router behind real TLS, with a backend that assigns one installation to one device.
type world struct {
	t      *testing.T
	flash  wire.Flash
	table  *table
	log    *logBook
	router *router.Router
	server *httptest.Server
	addr   string
	pings  time.Duration // 0: as often as agents do

	mu          sync.Mutex // guards what follows
	assignments []wire.Assignment
	directory   *realms.Directory
	sessions    []*wampx.Session
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, table: newTable(), log: &logBook{}, addr: "127.0.0.1:0"}
	key := secret.Random()
	w.flash = wire.Flash{
		Version: wire.Version, Project: project, Device: device, Name: "press-1", Serial: wire.NewSerial(),
		DeviceRealm: deviceRealm.Name(), Secret: string(key.Reveal()), GrantKey: base64.StdEncoding.EncodeToString(make([]byte, 32)),
	}
	w.assignments = []wire.Assignment{{
		Realm: dataRealm.Name(), Project: project, App: app, AppName: "host-metrics", Stage: wire.Prod,
		Publish: []wire.AgentPublication{{Source: wire.SourceHost, Table: "metrics", IntervalMs: 200}},
	}}
	w.directory = (&realms.Directory{}).Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: deviceRealm})
		e.PutRealm(realms.Entry{Realm: dataRealm})
		e.PutDevice(realms.Device{Serial: w.flash.Serial, Key: device, Project: project, Name: "press-1", Secrets: []secret.Value{key}})
	})
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts the router, at the address that it had before.
func (w *world) start() {
	w.t.Helper()
	r, err := router.New(router.Config{Logger: slog.New(slog.DiscardHandler), Sink: w.table})
	if err != nil {
		w.t.Fatal(err)
	}
	w.router = r
	r.Apply(w.directory)
	w.server = httptest.NewUnstartedServer(r.Handler())
	w.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_ = w.server.Listener.Close()
	if w.server.Listener, err = net.Listen("tcp", w.addr); err != nil {
		w.t.Fatal(err)
	}
	w.server.StartTLS()
	w.addr = w.server.Listener.Addr().String()
	w.flash.Router = "wss://" + w.addr + "/ws-agent"
	w.flash.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw}))
	_, err = wampx.Register(w.t.Context(), w.session(deviceRealm), wire.Assignments, wampx.RegisterOptions{},
		func(context.Context, *wampx.Invocation, wire.AssignmentsRequest) (wire.AssignmentsReply, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return wire.AssignmentsReply{Assignments: w.assignments}, nil
		})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = w.router.Close(ctx)
	w.server.Close()
	for _, s := range w.sessions {
		_ = s.Close(ctx)
	}
	w.sessions = nil
}

// session is a session of the backend's.
func (w *world) session(r realms.Realm) *wampx.Session {
	w.t.Helper()
	peer, err := w.router.Join(w.t.Context(), r.Name(), backend)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := wampx.FromPeer(w.t.Context(), peer, r.Name(), wampx.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.sessions = append(w.sessions, s)
	return s
}

// apply changes what the router knows.
func (w *world) apply(edit func(*realms.Editor)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.directory = w.directory.Edit(edit)
	w.router.Apply(w.directory)
}

// run starts an agent; the function that it gives stops it and tells how long that took.
func (w *world) run(dir string) (stop func() time.Duration) {
	w.t.Helper()
	d, err := state.Open(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	a := agent.New(agent.Config{Flash: w.flash, State: d, Version: "test", Log: slog.New(slog.NewTextHandler(w.log, nil)), PingInterval: w.pings})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(ctx)
	}()
	stop = sync.OnceValue(func() time.Duration {
		began := time.Now()
		cancel()
		<-done
		_ = d.Close()
		return time.Since(began)
	})
	w.t.Cleanup(func() { stop() })
	return stop
}

// call calls a function of the agent's; where nobody offers it yet, it asks again: there is no event to wait for.
func call[Rep any](t *testing.T, s *wampx.Session, uri string) Rep {
	t.Helper()
	for {
		rep, err := wampx.Call(t.Context(), s, wire.Procedure[struct{}, Rep]{URI: uri}, struct{}{})
		if err == nil {
			return rep
		}
		if wampx.Reason(err) != "wamp.error.no_such_procedure" {
			t.Fatal(err)
		}
		if !pauseFor(t, 5*time.Millisecond) {
			t.Fatalf("nobody offers %s", uri)
		}
	}
}

func pauseFor(t *testing.T, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-t.Context().Done():
		return false
	}
}

// table is the sink of the data realm: it stores what it is handed, or does what the test says in place of that.
type table struct {
	mu      sync.Mutex // guards what follows
	rows    []stored
	respond func(wire.Submission) error // nil error stores; nil function stores always
	lost    bool                        // nothing is answered
	news    chan struct{}               // closed and replaced at each submission
}

type stored struct {
	tsp, seq uint64
	s        wire.Submission
}

func newTable() *table { return &table{news: make(chan struct{})} }

func (t *table) Accept(s wire.Submission, done func(error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() {
		close(t.news)
		t.news = make(chan struct{})
	}()
	var err error
	if t.respond != nil {
		err = t.respond(s)
	}
	if err == nil {
		row, _ := s.Args[0].(map[string]any)
		t.rows = append(t.rows, stored{toUint(row["tsp"]), toUint(s.Kwargs["seq"]), s})
	}
	if !t.lost {
		done(err)
	}
}

func toUint(v any) uint64 {
	switch n := v.(type) {
	case uint64:
		return n
	case int64:
		return uint64(n) //nolint:gosec // a test's own numbers
	default:
		return 0
	}
}

// set changes how the table behaves and gives the number of rows so far.
func (t *table) set(lost bool, respond func(wire.Submission) error) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost, t.respond = lost, respond
	return len(t.rows)
}

// await waits until enough says so of the rows.
func (t *table) await(tt *testing.T, enough func([]stored) bool) []stored {
	tt.Helper()
	for {
		t.mu.Lock()
		rows, news := append([]stored(nil), t.rows...), t.news
		t.mu.Unlock()
		if enough(rows) {
			return rows
		}
		select {
		case <-news:
		case <-tt.Context().Done():
			tt.Fatalf("only %d rows", len(rows))
		}
	}
}

func atLeast(n int) func([]stored) bool { return func(rows []stored) bool { return len(rows) >= n } }

// logBook keeps what an agent logs.
type logBook struct {
	mu   sync.Mutex // guards text and waits
	text bytes.Buffer
	news chan struct{}
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.news != nil {
		close(l.news)
		l.news = nil
	}
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits for a line that has the text.
func (l *logBook) await(t *testing.T, text string) {
	t.Helper()
	for {
		l.mu.Lock()
		found := strings.Contains(l.text.String(), text)
		if l.news == nil {
			l.news = make(chan struct{})
		}
		news := l.news
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-news:
		case <-t.Context().Done():
			t.Fatalf("not logged: %s\n%s", text, l)
		}
	}
}

var errBusy = errs.E(wire.Unavailable, "the database is away")

func function(name string) string { return wire.DeviceFunction(project, device, app, wire.Prod, name) }

func describe(rows []stored) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%d@%d ", r.seq, r.tsp)
	}
	return b.String()
}
