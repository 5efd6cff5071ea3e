package httpapi_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"bulkhead/backend/account"
	"bulkhead/backend/account/oidc"
	"bulkhead/backend/account/password"
	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/privilege/granting"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// stage is the API over TLS and a real database. What lies beyond it is played: the router's sessions and the data.
type stage struct {
	t        testing.TB
	server   *httptest.Server
	api      *httpapi.API
	key      string
	assets   *asset.Assets
	keys     *account.Keys
	tickets  *account.Tickets
	live     *granting.Live
	sessions *sessions
	data     *data
	log      *logged
	clock    *clocktest.Clock
	config   httpapi.Config
	database *dbtest.Database
	metrics  *prometheus.Registry
	notes    *notes
	// statements are those that the database was asked.
	statements *statements
}

// quick derives keys at once: what it costs to guess is shown in package password.
type quick struct{}

func (quick) Derive(_ context.Context, p secret.Value, bits []byte) ([]byte, error) {
	sum := sha256.Sum256(append(slices.Clone(bits), p.Reveal()...))
	return sum[:], nil
}

func newStage(t testing.TB, options ...func(*httpapi.Config)) *stage {
	t.Helper()
	s := &stage{
		t: t, sessions: &sessions{}, data: &data{made: map[realms.Realm]bool{}}, log: &logged{}, clock: clocktest.Start(),
		metrics: prometheus.NewRegistry(), notes: &notes{}, statements: &statements{},
	}
	s.database = dbtest.New(t, db.WithTracer(s.statements))
	keyring, err := secret.NewKeyring(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.assets, err = asset.New(asset.Config{
		Store: db.NewAssets(s.database.DB), Sealer: keyring, Backends: s.data, Sources: s.data, Exporter: s.data, Publisher: s.data, Watcher: s.data,
		Enrolment: asset.Enrolment{Router: "wss://bulkhead.test/ws-agent", CA: "PEM", GrantKey: make(ed25519.PublicKey, ed25519.PublicKeySize)},
		Log:       log, Now: s.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.assets.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.tickets = account.NewTickets(s.clock.Now)
	s.keys = account.NewKeys(db.NewAPIKeys(s.database.DB), s.clock.Now, s.tickets.Drop)
	users, hasher := db.NewUsers(s.database.DB), password.New(quick{})
	logins := account.NewLogins(account.LoginsConfig{
		Store: db.NewLogins(s.database.DB), Users: users, Sealer: keyring, Noter: s.notes, Hasher: hasher, Log: log, Now: s.clock.Now,
		Issuer: "Bulkhead", Ended: s.tickets.Drop,
	})
	store := db.NewPrivileges(s.database.DB)
	s.live = granting.NewLive(store, s.clock.Now, log)
	s.config = httpapi.Config{
		Assets: s.assets, Keys: s.keys, Logins: logins, Users: account.NewUsers(users, hasher, logins, s.keys, s.clock.Now),
		Services: account.NewServiceAccounts(db.NewServiceAccounts(s.database.DB), s.keys, s.clock.Now), Tickets: s.tickets, Sessions: s.sessions, Backends: s.data, Audit: db.NewAudit(s.database.DB),
		Authorizer: httpapi.Privileges{Snapshots: s.live, Now: s.clock.Now}, Granting: granting.New(store, s.live, s.clock.Now, log), Replays: db.NewReplays(s.database.DB), Sealer: keyring, Metrics: s.metrics, Log: log, Now: s.clock.Now, Version: "1.2.3",
		Providers: oidc.NewProviders(db.NewProviders(s.database.DB), keyring, s.clock.Now), PublicURL: "https://bulkhead.test",
		Remote: newRemote(s, log), Recordings: newRecordings(s, keyring), Quotas: newQuotas(s, log),
	}
	for _, option := range options {
		option(&s.config)
	}
	s.start()
	s.key = s.owner()
	s.live.Watch(func() { s.api.Reconsider() })
	if err := s.live.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// bodyTimeout is long enough for a body of three megabytes on a busy machine.
const bodyTimeout = 2 * time.Second

func (s *stage) start() {
	s.t.Helper()
	api, err := httpapi.New(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	httpapi.SetBodyTimeout(api, bodyTimeout)
	s.api = api
	s.server = httptest.NewUnstartedServer(api)
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.server.StartTLS()
	s.t.Cleanup(s.server.Close)
}

func (s *stage) owner() string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "owner.key")
	if err := s.keys.EnsureOwner(s.t.Context(), file); err != nil {
		s.t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem(t testing.TB) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("status %d, no problem document: %s", a.status, a.body)
	}
	return p
}

// header is a change of a request.
type change func(*http.Request)

func header(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }

// do sends a request with the owner's key. A body that is no string is sent as JSON.
func (s *stage) do(method, path string, body any, changes ...change) answer {
	s.t.Helper()
	return s.send(s.t.Context(), method, path, body, changes...)
}

func (s *stage) send(ctx context.Context, method, path string, body any, changes ...change) answer {
	s.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.server.URL+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range changes {
		c(r)
	}
	response, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

// must sends a request that succeeds and reads its answer.
func must[T any](s *stage, status int, method, path string, body any, changes ...change) T {
	s.t.Helper()
	var reply T
	a := s.do(method, httpapi.Prefix+path, body, changes...)
	if a.status != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	if len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &reply); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
		}
	}
	return reply
}

// refused sends a request that is refused with a status and a code.
func (s *stage) refused(status int, code, method, path string, body any, changes ...change) httpapi.Problem {
	s.t.Helper()
	a := s.do(method, httpapi.Prefix+path, body, changes...)
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		s.t.Errorf("%s %s: status %d as %s, want %d: %s", method, path, a.status, a.header.Get("Content-Type"), status, a.body)
		return httpapi.Problem{}
	}
	p := a.problem(s.t)
	if p.Code != code || p.Status != status || p.Title == "" || p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		s.t.Errorf("%s %s: problem %+v, want code %s", method, path, p, code)
	}
	return p
}

const template = "template\nwith agent\n"

// plant makes a project with a device and an installed app.
func (s *stage) plant(name string) (httpapi.Project, httpapi.DeviceFlash, httpapi.Installation) {
	s.t.Helper()
	p := must[httpapi.Project](s, 201, "POST", "/projects", httpapi.ProjectCreate{Name: name, Title: "Plant"})
	if a := s.do("GET", httpapi.Prefix+"/apps/host-metrics", nil); a.status == 404 {
		must[httpapi.App](s, 201, "POST", "/apps", httpapi.AppCreate{Name: "host-metrics"})
	}
	d := must[httpapi.DeviceFlash](s, 201, "POST", "/projects/"+name+"/devices", httpapi.DeviceCreate{Name: "press-1"})
	in := must[httpapi.Installation](s, 201, "POST", "/projects/"+name+"/installations",
		httpapi.InstallationCreate{App: "host-metrics", Stage: wire.Prod, Template: template})
	return p, d, in
}

// sessions plays the router.
type sessions struct {
	mu    sync.Mutex // guards list and ended
	list  map[string][]httpapi.Session
	ended []uint64
}

func (s *sessions) Sessions(_ context.Context, realm string) ([]httpapi.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[realm], nil
}

func (s *sessions) EndSession(_ context.Context, realm string, id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.list[realm], func(known httpapi.Session) bool { return known.Session == id }) {
		return errs.E(wire.NotFound, "no such session")
	}
	s.ended = append(s.ended, id)
	return nil
}

const canaryPassword = "canary-database-password"

// data plays the data backends and all else that assets talk to.
type data struct {
	mu     sync.Mutex // guards made
	made   map[realms.Realm]bool
	rows   int           // of an export
	broken int           // the export fails after so many rows, where it is not 0
	hold   chan struct{} // an export, or an installation, waits for it where it is set
	reach  chan struct{} // is told when one waits
}

func (d *data) wait() {
	if d.hold != nil {
		d.reach <- struct{}{}
		<-d.hold
	}
}

func (d *data) Check(text []byte) error {
	if !bytes.HasPrefix(text, []byte("template")) {
		return errs.E(wire.Invalid, "template: line 1: data: missing")
	}
	return nil
}

func (d *data) Provision(_ context.Context, r realms.Realm, _ []byte) error {
	d.wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made[r] = true
	return nil
}

func (d *data) Deprovision(_ context.Context, r realms.Realm) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.made, r)
	return nil
}

func (d *data) AgentPublications([]byte) ([]wire.AgentPublication, error) { return nil, nil }
func (d *data) Apply(*realms.Directory)                                   {}
func (d *data) AssignmentsChanged(wire.Key)                               {}

func (d *data) Export(_ context.Context, r realms.Realm, _ []byte) (string, error) {
	return "exports/" + r.Name(), nil
}

func (d *data) Describe(_ context.Context, r realms.Realm) (string, []string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.made[r] {
		return "", nil, errs.E(wire.NotFound, "no such installation")
	}
	return "p_x", []string{"metrics"}, nil
}

func (d *data) Credential(context.Context, realms.Realm) (httpapi.DatabaseCredential, error) {
	return httpapi.DatabaseCredential{Host: "localhost", Port: 5432, Database: "b", Schema: "p_x", User: "u", Password: canaryPassword}, nil
}

func (d *data) ExportTable(_ context.Context, _ realms.Realm, _, _ string, w io.Writer) error {
	d.wait()
	if d.rows == 0 && d.broken == 0 {
		return nil
	}
	for i := range d.rows {
		if d.broken > 0 && i == d.broken-1 {
			return errs.E(wire.Unavailable, "the database cannot be reached")
		}
		if _, err := fmt.Fprintf(w, "%d,row\n", i); err != nil {
			return err
		}
	}
	return nil
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// notes keeps what was refused.
type notes struct {
	mu   sync.Mutex // guards list
	list []audit.Entry
}

func (n *notes) Note(_ context.Context, e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, e)
}

// Count keeps what was refused unseen, too.
func (n *notes) Count(e audit.Entry) { n.Note(context.Background(), e) }

func (n *notes) take() []audit.Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.list
	n.list = nil
	return taken
}

// nobody may do nothing but ask who it is.
type nobody struct{ sees bool }

func (nobody) May(_ context.Context, _ account.Principal, flag wire.Flag, _ httpapi.Target) bool {
	return flag == wire.Self
}

func (n nobody) Sees(context.Context, account.Principal, httpapi.Target) bool { return n.sees }

func (n nobody) Belongs(context.Context, account.Principal, wire.Key) bool { return n.sees }

func auditActions(t testing.TB, s *stage) []audit.Action {
	t.Helper()
	entries, err := db.NewAudit(s.database.DB).Entries(t.Context(), audit.Query{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	var actions []audit.Action
	for _, e := range slices.Backward(entries) {
		actions = append(actions, e.Action)
	}
	return actions
}
