// Package config reads the server's configuration: defaults, then the file, then BULKHEAD_* environment variables.
//
// It promises that an unknown key is an error with its line, that a secret is only ever named by a file, and that what
// `bulkhead config check` prints is what the server would use.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Config is the configuration of `bulkhead serve`. configs/bulkhead.yaml explains it key by key.
type Config struct {
	Listen    string   `yaml:"listen"`
	OpsListen string   `yaml:"ops_listen"`
	PublicURL string   `yaml:"public_url"`
	StateDir  string   `yaml:"state_dir"`
	Origins   []string `yaml:"origins"`
	TLS       TLS      `yaml:"tls"`
	Database  Database `yaml:"database"`
	Log       Log      `yaml:"log"`
	Router    Router   `yaml:"router"`
	Ingest    Ingest   `yaml:"ingest"`
	Storage   Storage  `yaml:"storage"`

	Recordings Recordings `yaml:"recordings"`
	Gateway    Gateway    `yaml:"gateway"`
}

// TLS names the certificate that the server shows and the authority that devices are given to check it by.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	CAFile   string `yaml:"ca_file"`
}

// Database names the PostgreSQL server. Without a URL the server runs a private one in its state directory.
type Database struct {
	URLFile string `yaml:"url_file"`
	Driver  string `yaml:"driver"`
}

// Log says how much is logged and in which form.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Router has the limits of sessions.
type Router struct {
	JoinTimeout       Duration `yaml:"join_timeout"`
	PingInterval      Duration `yaml:"ping_interval"`
	WriteTimeout      Duration `yaml:"write_timeout"`
	MaxMessage        int      `yaml:"max_message"`
	MaxPerAddress     int      `yaml:"max_connections_per_address"`
	MaxNewPerAddress  int      `yaml:"max_new_connections_per_address"`
	MaxQueuePerClient int      `yaml:"max_queue_per_client"`
}

// Ingest has the limits of what is kept on the way to the database.
type Ingest struct {
	SpillQuota int64 `yaml:"spill_quota_per_project"`
}

// Storage has the limits of what projects store.
type Storage struct {
	Quota   int64 `yaml:"quota_per_project"`
	MinFree int64 `yaml:"min_free"`
}

// Recordings has the limits of what is kept of recorded shells.
type Recordings struct {
	ProjectQuota int64 `yaml:"project_quota"`
	DeviceQuota  int64 `yaml:"device_quota"`
	KeepDays     int   `yaml:"keep_days"`
}

// Gateway says where tunnels are shown.
type Gateway struct {
	HTTPDomain string `yaml:"http_domain"`
}

// Drivers place projects in the database server.
const (
	DriverDatabase = "database"
	DriverSchema   = "schema"
)

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Listen:    "127.0.0.1:8443",
		OpsListen: "127.0.0.1:9443",
		StateDir:  "/var/lib/bulkhead",
		Database:  Database{Driver: DriverDatabase},
		Log:       Log{Level: "info", Format: "auto"},
		Router: Router{
			JoinTimeout: Duration(5 * time.Second), PingInterval: Duration(20 * time.Second), WriteTimeout: Duration(10 * time.Second),
			MaxMessage: 16 << 20, MaxPerAddress: 1024, MaxNewPerAddress: 100, MaxQueuePerClient: 32 << 20,
		},
		Ingest:     Ingest{SpillQuota: 1 << 30},
		Storage:    Storage{Quota: 10 << 30, MinFree: 1 << 30},
		Recordings: Recordings{ProjectQuota: 4 << 30, DeviceQuota: 1 << 30, KeepDays: 90},
	}
}

// Duration is a time.Duration written as in Go: 5s, 1m30s.
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed <= 0 {
		return fmt.Errorf("line %d: want a duration like 5s, not %q", node.Line, node.Value)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalYAML writes a duration.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Load reads the file and the environment (as os.Environ gives it) and checks the whole.
func Load(file string, environ []string) (Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Config{}, errs.As(wire.Invalid, err, "configuration file %s cannot be read", file)
	}
	c, err := Parse(text, environ)
	if err != nil {
		return Config{}, errs.E(wire.Invalid, "%s: %v", file, err)
	}
	return c, nil
}

// Parse is Load for a text.
func Parse(text []byte, environ []string) (Config, error) {
	c := Default()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, yamlFault(err)
	}
	if err := decoder.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("more than one document")
	}
	if err := fromEnvironment(&c, environ); err != nil {
		return Config{}, err
	}
	return c, c.check()
}

// yamlFault drops the words of the YAML library that say nothing to a reader.
func yamlFault(err error) error {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	lines := make([]string, len(typed.Errors))
	for i, line := range typed.Errors {
		lines[i] = unknownField.ReplaceAllString(line, "unknown key $1")
	}
	return errors.New(strings.Join(lines, "; "))
}

// check gives every fault at once, each with its key.
func (c Config) check() error {
	var faults []error
	fault := func(key, want string) { faults = append(faults, fmt.Errorf("%s: %s", key, want)) }
	for key, addr := range map[string]string{"listen": c.Listen, "ops_listen": c.OpsListen} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			fault(key, "want host:port")
		}
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
		fault("public_url", "want a URL like https://bulkhead.example without a path")
	}
	if c.StateDir == "" {
		fault("state_dir", "missing")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fault("tls", "cert_file and key_file go together")
	}
	if c.Database.Driver != DriverDatabase && c.Database.Driver != DriverSchema {
		fault("database.driver", `want "database" or "schema"`)
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		fault("log.level", "want debug, info, warn or error")
	}
	switch c.Log.Format {
	case "auto", "json", "text":
	default:
		fault("log.format", "want auto, json or text")
	}
	if c.Router.MaxMessage < 16<<10 || c.Router.MaxMessage > 64<<20 {
		fault("router.max_message", "want 16384 to 67108864 bytes")
	}
	if c.Router.MaxQueuePerClient < c.Router.MaxMessage {
		fault("router.max_queue_per_client", "want at least router.max_message")
	}
	if c.Router.MaxPerAddress < 1 {
		fault("router.max_connections_per_address", "want at least 1")
	}
	if n := c.Router.MaxNewPerAddress; n < 0 || n > 1_000_000 {
		fault("router.max_new_connections_per_address", "want 0 for any number, or at most 1000000")
	}
	if c.Ingest.SpillQuota < 1<<20 {
		fault("ingest.spill_quota_per_project", "want at least 1048576 bytes")
	}
	if q := c.Storage.Quota; q != 0 && (q < 1<<20 || q > 1<<53-1) {
		fault("storage.quota_per_project", "want 0 for none, or at least 1048576 bytes")
	}
	if c.Storage.MinFree < 0 || c.Storage.MinFree > 1<<53-1 {
		fault("storage.min_free", "want a number of bytes, or 0 for none")
	}
	if c.Recordings.ProjectQuota < 1<<20 || c.Recordings.DeviceQuota < 1<<20 {
		fault("recordings", "project_quota and device_quota: want at least 1048576 bytes")
	}
	if c.Recordings.KeepDays < 1 || c.Recordings.KeepDays > 36500 {
		fault("recordings.keep_days", "want 1 to 36500")
	}
	if d := c.Gateway.HTTPDomain; d != "" {
		if wire.CheckHost(d) != nil || !strings.ContainsFunc(d, func(r rune) bool { return r >= 'a' && r <= 'z' }) || !strings.Contains(d, ".") {
			fault("gateway.http_domain", "want a domain like tunnel.example, in lower case")
		}
		if u, err := url.Parse(c.PublicURL); err == nil && (u.Hostname() == d || strings.HasSuffix(u.Hostname(), "."+d)) {
			fault("gateway.http_domain", "public_url must not be below it: what is there belongs to devices")
		}
	}
	return errors.Join(faults...)
}
