package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestTheShippedFileIsTheDefaultKeyByKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "configs", "bulkhead.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Origins = []string{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	encoded, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(encoded)) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !bytes.Contains(text, []byte(key+":")) {
			t.Errorf("%s is not explained", key)
		}
	}
}

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if got, err := config.Parse([]byte(text), nil); err != nil || !reflect.DeepEqual(got, config.Default()) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	t.Parallel()
	got, err := config.Parse([]byte("listen: 127.0.0.1:1\nrouter: {join_timeout: 3s}\n"), []string{
		"BULKHEAD_LISTEN=127.0.0.1:2", "BULKHEAD_ROUTER_PING_INTERVAL=7s", "BULKHEAD_ORIGINS=[https://a.example]",
		"BULKHEAD_TEST_DATABASE_URL=x", "BULKHEAD_CONTEXT_DIR=/x", "PATH=/bin",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "127.0.0.1:2" || got.Router.PingInterval != config.Duration(7*time.Second) ||
		got.Router.JoinTimeout != config.Duration(3*time.Second) || len(got.Origins) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestAFaultSaysWhereItIs(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"listen: 127.0.0.1:1\nlisen: x\n":                                      "line 2: unknown key lisen",
		"router:\n  pings: 1s\n":                                               "line 2: unknown key pings",
		"router:\n  join_timeout: soon\n":                                      `line 2: want a duration like 5s, not "soon"`,
		"router:\n  join_timeout: -5s\n":                                       "line 2: want a duration",
		"router:\n  max_message: big\n":                                        "line 2: cannot unmarshal",
		"listen: here\n":                                                       "listen: want host:port",
		"public_url: http://x\n":                                               "public_url: want a URL",
		"public_url: https://x/y\n":                                            "public_url: want a URL",
		"tls: {cert_file: a}\n":                                                "tls: cert_file and key_file go together",
		"database: {driver: sqlite}\n":                                         "database.driver: want",
		"log: {level: loud}\n":                                                 "log.level: want",
		"log: {format: xml}\n":                                                 "log.format: want",
		"state_dir: ''\n":                                                      "state_dir: missing",
		"router: {max_message: 1}\n":                                           "router.max_message: want",
		"router: {max_queue_per_client: 1}\n":                                  "router.max_queue_per_client: want",
		"router: {max_connections_per_address: 0}\n":                           "router.max_connections_per_address: want",
		"router: {max_new_connections_per_address: -1}\n":                      "router.max_new_connections_per_address: want",
		"gateway: {http_domain: localhost}\n":                                  "gateway.http_domain: want",
		"gateway: {http_domain: Tunnel.example}\n":                             "gateway.http_domain: want",
		"gateway: {http_domain: 127.0.0.1}\n":                                  "gateway.http_domain: want",
		"gateway: {http_domain: \"*.a.example\"}\n":                            "gateway.http_domain: want",
		"public_url: https://x.t.example\ngateway: {http_domain: t.example}\n": "public_url must not be below it",
		"storage: {min_free: -1}\n":                                            "storage.min_free: want",
		"ingest: {spill_quota_per_project: 1}\n":                               "ingest.spill_quota_per_project: want",
		"a: b: c\n":                                                            "mapping values",
		"listen: 127.0.0.1:1\n---\nlisten: b\n":                                "more than one document",
		"listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n":                           "line 2",
	} {
		if _, err := config.Parse([]byte(text), nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", text, err, says)
		}
	}
	for entry, says := range map[string]string{
		"BULKHEAD_LISEN=x":              "BULKHEAD_LISEN names no key",
		"BULKHEAD_ROUTER=x":             "BULKHEAD_ROUTER names no key",
		"BULKHEAD_ROUTER_MAX_MESSAGE=x": "BULKHEAD_ROUTER_MAX_MESSAGE: ",
	} {
		if _, err := config.Parse(nil, []string{entry}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", entry, err, says)
		}
	}
}

func TestAMissingFileIsTheUsersFault(t *testing.T) {
	t.Parallel()
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	if errs.KindOf(err) != wire.Invalid || !strings.Contains(errs.UserText(err), "none.yaml cannot be read") {
		t.Errorf("got %v", err)
	}
}
