package browser

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/dev"
	"bulkhead/internal/localca"
)

// scripts are what people do, each with the number of its steps: a script that stops early must not pass.
var scripts = map[string]int{"enrol": 8, "login": 9, "oidc": 6, "npm": 5, "stepup": 5, "device": 6, "sessions": 4, "keyboard": 5, "terminal": 12, "site": 8}

// scriptTimeout bounds one script; a code that works once may cost it half a minute, several times.
const scriptTimeout = 4 * time.Minute

// chromium is Debian's; ./justw test installs it.
const chromium = "/usr/bin/chromium"

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // more than there are processors: people wait for pages
	flag.Parse()
	os.Exit(m.Run())
}

func TestPeopleUseThePagesInARealBrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts browsers")
	}
	install(t)
	w := start(t)
	for script, steps := range scripts {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			w.run(t, script, steps)
		})
	}
}

// install fetches the driver of package-lock.json where it is missing.
func install(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("%v: ./justw test installs what is missing", err)
	}
	for _, dependency := range []string{"playwright-core", "oidc-provider"} {
		if _, err := os.Stat(filepath.Join("node_modules", dependency)); err != nil {
			fetch(t)
			return
		}
	}
}

func fetch(t *testing.T) {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
	if err != nil {
		t.Fatalf("the driver cannot be installed: npm ci: %v\n%s", err, said)
	}
}

// world is what the scripts know.
type world struct {
	API      string  `json:"api"`
	Key      string  `json:"key"`
	Users    []user  `json:"users"`
	Provider string  `json:"provider"`
	Browser  string  `json:"browser"` // where it is reached
	Control  string  `json:"control"`
	Shots    string  `json:"shots,omitempty"` // where pictures of the pages go
	Script   string  `json:"script"`
	Foreign  foreign `json:"foreign"`
	App      string  `json:"application"` // of a device
	Away     string  `json:"away"`        // where that leads
	caFile   string
}

// foreign is what a provider that knows nothing of us serves with.
type foreign struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
	CA   string `json:"ca"`
	pin  string
}

type user struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Secret   string `json:"secret"`
}

// ready is what the scripts need of the ready file.
type ready struct {
	API      string `json:"api"`
	CAFile   string `json:"ca_file"`
	KeyFile  string `json:"owner_api_key_file"`
	Database string `json:"database_url"`
	Users    []struct {
		Name         string `json:"name"`
		PasswordFile string `json:"password_file"`
		SecretFile   string `json:"totp_secret_file"`
	} `json:"users"`
}

func start(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	d, err := dev.Start(ctx, dev.Options{
		Dir: filepath.Join(t.TempDir(), "dev"), Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	text, err := json.Marshal(d.Ready())
	if err != nil {
		t.Fatal(err)
	}
	var r ready
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	away := elsewhere(t)
	w := &world{
		API: r.API, Key: read(t, r.KeyFile), Control: control(t, r.Database),
		Shots: os.Getenv("BULKHEAD_SHOTS"), Provider: "dev", Foreign: certify(t), App: application(t, away), Away: away, caFile: r.CAFile,
	}
	for _, u := range r.Users {
		w.Users = append(w.Users, user{u.Name, read(t, u.PasswordFile), read(t, u.SecretFile)})
	}
	w.Browser = launch(t, pinOf(t, r.API, r.CAFile), w.Foreign.pin)
	return w
}

// launch starts the browser, which trusts these public keys besides, and gives where it is reached.
func launch(t *testing.T, pins ...string) string {
	t.Helper()
	command := exec.Command("node", append([]string{"chromium.mjs", chromium}, pins...)...)
	in, errIn := command.StdinPipe()
	out, errOut := command.StdoutPipe()
	var said bytes.Buffer
	command.Stderr = &said
	if err := errors.Join(errIn, errOut, command.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = command.Wait() })
	at, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = in.Close()
		t.Fatalf("%v, %v\n%s", err, command.Wait(), &said)
	}
	return strings.TrimSpace(at)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// certify makes a certificate that the server does not know.
func certify(t *testing.T) foreign {
	t.Helper()
	files, err := localca.Ensure(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(read(t, files.Cert)))
	if block == nil {
		t.Fatal("no certificate was made")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return foreign{Cert: files.Cert, Key: files.Key, CA: read(t, files.CA), pin: base64.StdEncoding.EncodeToString(sum[:])}
}

// pinOf hashes the public key of the server, after checking its certificate: the browser has no other way to trust a
// local authority without changing the machine.
func pinOf(t *testing.T, api, caFile string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(read(t, caFile)))
	if block == nil {
		t.Fatal("no certificate in the authority's file")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(ca)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	sum := sha256.Sum256(response.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// control lets scripts make it some minutes ago that somebody showed the second factor, where the server keeps it.
func control(t *testing.T, database string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		minutes, err := strconv.Atoi(r.URL.Query().Get("minutes"))
		if err == nil {
			err = age(r.Context(), database, r.URL.Query().Get("name"), minutes)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func age(ctx context.Context, database, name string, minutes int) error {
	conn, err := platform(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, `WITH code AS (UPDATE bulkhead.user_factor f SET last_step = f.last_step - 2 * $2::int
		FROM bulkhead.principal p WHERE p.key = f.user_key AND p.name = $1)
		UPDATE bulkhead.login l SET factor_at = l.factor_at - make_interval(mins => $2::int), first_at = l.first_at - make_interval(mins => $2::int),
		created_at = l.created_at - make_interval(mins => $2::int)
		FROM bulkhead.principal p WHERE p.key = l.user_key AND p.name = $1 AND l.factor_at IS NOT NULL`, name, minutes)
	return err
}

// platform connects to the server's own database: the ready file names the one of the samples, which is on the same server.
func platform(ctx context.Context, samples string) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(samples)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	rows, _ := conn.Query(ctx, `SELECT datname FROM pg_database WHERE NOT datistemplate`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return nil, err
	}
	for _, c.Database = range names {
		if conn, err = pgx.ConnectConfig(ctx, c); err != nil {
			return nil, err
		}
		var has bool
		if err := conn.QueryRow(ctx, `SELECT to_regclass('bulkhead.login') IS NOT NULL`).Scan(&has); err == nil && has {
			return conn, nil
		}
		_ = conn.Close(ctx)
	}
	return nil, errors.New("no database has the platform's tables")
}

func (w world) run(t *testing.T, script string, steps int) {
	t.Helper()
	w.Script = script
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "node", script+".mjs")
	command.Env = append(os.Environ(), "BULKHEAD_WORLD="+string(text), "NODE_EXTRA_CA_CERTS="+w.caFile)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	command.WaitDelay = 5 * time.Second
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if got := strings.Count("\n"+said.String(), "\nstep: "); got != steps {
		t.Fatalf("%d steps, want %d:\n%s", got, steps, said.String())
	}
	t.Log("\n" + said.String())
}
