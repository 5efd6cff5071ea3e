package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/dev"
	"bulkhead/wire"
)

// What is planted begins with one of these words. Secrets may stand nowhere; the rest may stand in the record, since it names
// what was made, but in no log or metric.
const (
	canary       = "canary"
	canarySecret = "canarysecret"
)

// secretMembers are names of members and parameters whose values are secrets.
var secretMembers = regexp.MustCompile(`(?i)password|^code$|secret|token|^key$`)

// aviary is a server that logs everything.
type aviary struct {
	*person
	planted int
	answers strings.Builder // what requests were refused with
	secrets map[string]string
}

func newAviary(t *testing.T) *aviary {
	t.Helper()
	root := t.TempDir()
	file := filepath.Join(root, "bulkhead.yaml")
	config := fmt.Sprintf("listen: 127.0.0.1:0\nops_listen: 127.0.0.1:0\nstate_dir: %s\nlog: {level: debug, format: json}\n", filepath.Join(root, "state"))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &runningDev{site: &site{contexts: filepath.Join(root, "contexts")}, output: &transcript{}, ended: make(chan error, 1)}
	d.process = d.site.command(context.Background(), "bulkhead", "serve", "-c", file)
	d.process.Stdout, d.process.Stderr = d.output, d.output
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.process.Wait() }()
	t.Cleanup(func() { d.stop(t) })
	address := regexp.MustCompile(`bulkhead serves (\S+); health and metrics are at (\S+)`)
	until(t, startWithin, "the server", func() bool {
		found := address.FindStringSubmatch(d.output.String())
		if found != nil {
			state := filepath.Join(root, "state")
			d.ready = dev.Ready{API: found[1], Ops: found[2], CAFile: filepath.Join(state, "tls", "ca.pem"), OwnerAPIKeyFile: filepath.Join(state, "owner.key")}
		}
		return found != nil
	})
	a := &aviary{person: newPerson(t, d, "olga"), secrets: map[string]string{}}
	key, err := os.ReadFile(d.ready.OwnerAPIKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	a.secrets["owner's key"] = string(key)
	return a
}

// owner are the flags of the server's first owner.
func (a *aviary) owner(args ...string) []string {
	return append(args, "--server", a.d.ready.API, "--ca-file", a.d.ready.CAFile, "--api-key-file", a.d.ready.OwnerAPIKeyFile)
}

// word is a canary for a member or parameter of some name.
func (a *aviary) word(name string) string {
	a.planted++
	kind := canary
	if secretMembers.MatchString(name) {
		kind = canarySecret
	}
	return fmt.Sprintf("%s-%d", kind, a.planted)
}

// send makes a request with canaries in its headers as well, and remembers what it is refused with.
func (a *aviary) send(method, path, credential string, body any) {
	a.t.Helper()
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			a.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.d.ready.API+path, bytes.NewReader(encoded))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+credential)
	r.Header.Set("Cookie", "__Host-bulkhead="+a.word("token"))
	r.Header.Set("User-Agent", a.word("agent"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("If-Match", "*")
	response, err := a.browser.Transport.RoundTrip(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // a broken answer has nothing to find
	if response.StatusCode >= http.StatusBadRequest {
		a.answers.Write(text)
	}
}

// document is as much of an OpenAPI document as planting needs.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Schema   schema
	}
	RequestBody struct {
		Content map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]schema
	Items      *schema
}

// fill makes a value of a schema with canaries wherever there is a text.
func (a *aviary) fill(d document, name string, s schema, depth int) any {
	if s.Ref != "" {
		s = d.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	kind := fmt.Sprint(s.Type)
	switch {
	case depth > 6:
		return nil
	case strings.Contains(kind, "object"):
		members := map[string]any{}
		for member, of := range s.Properties {
			members[member] = a.fill(d, member, of, depth+1)
		}
		return members
	case strings.Contains(kind, "array") && s.Items != nil:
		return []any{a.fill(d, name, *s.Items, depth+1)}
	case strings.Contains(kind, "integer"), strings.Contains(kind, "number"):
		return 60
	case strings.Contains(kind, "boolean"):
		return true
	default:
		return a.word(name)
	}
}

// everyOperation sends canaries to each operation: as the owner, and as somebody with a wrong credential.
func (a *aviary) everyOperation() (count int) {
	a.t.Helper()
	var d document
	response, err := a.browser.Get(a.d.ready.API + httpapi.Prefix + "/openapi.json")
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&d); err != nil {
		a.t.Fatal(err)
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.OperationID == "" || op.OperationID == "rotate-sealing-keys" {
				continue
			}
			count++
			target, query := path, url.Values{}
			for _, p := range op.Parameters {
				switch p.In {
				case "path":
					target = strings.ReplaceAll(target, "{"+p.Name+"}", a.word("name"))
				case "query":
					query.Set(p.Name, a.word("name"))
				}
			}
			var body any
			if content, ok := op.RequestBody.Content["application/json"]; ok {
				body = a.fill(d, "", content.Schema, 0)
			}
			for _, credential := range []string{a.secrets["owner's key"], a.word("token")} {
				a.send(strings.ToUpper(method), httpapi.Prefix+target, credential, body)
				a.send(strings.ToUpper(method), httpapi.Prefix+target+"?"+query.Encode(), credential, body)
			}
		}
	}
	return count
}

// life is what people do with secrets: all of it is planted, and the answers that must show one are left out.
func (a *aviary) life() {
	a.t.Helper()
	password, err := os.ReadFile(a.password)
	if err != nil {
		a.t.Fatal(err)
	}
	a.secrets["password"] = string(password)
	a.must(a.owner("user", "create", "olga", "--password-file", a.password, "--owner")...)
	seen := a.seen
	a.secrets["recovery code"] = a.enrol()
	a.seen = seen // it showed the second factor
	a.secrets["secret of a second factor"], a.secrets["token"] = a.totp, a.token()
	a.bulkhead("olga\n"+canarySecret+"-password\n", "login", "--local")
	a.bulkhead(canarySecret+"-code\n", "login", "--step-up")
	a.bulkhead(canarySecret+"-code\n", "login", "--local", "--user", "olga", "--password-file", a.password)
	key := filepath.Join(a.t.TempDir(), "wrong.key")
	for _, text := range []string{canarySecret + "-key", "bhk_" + strings.Repeat("a", 16) + "_" + canarySecret} {
		if err := os.WriteFile(key, []byte(text), 0o600); err != nil {
			a.t.Fatal(err)
		}
		a.bulkhead("", "whoami", "--server", a.d.ready.API, "--ca-file", a.d.ready.CAFile, "--api-key-file", key)
	}
	a.secrets["API key"] = shownOnce[httpapi.APIKeySecret](a, "apikey", "create", "ci", "--scope", "project.read").Key
	a.form("/oauth/device_authorization", "client_id="+canarySecret+"-client")
	a.form("/oauth/device_authorization?client_id="+canarySecret+"-url", "")
	a.form("/oauth/token", "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=bulkhead-cli&device_code="+canarySecret+"-device")
	a.form("/oauth/revoke", "token="+canarySecret+"-revoked")
	a.form("/login", "name=olga&password="+canarySecret+"-page")
	a.plant()
	a.must("logout")
}

// plant makes a project with what belongs to one, and sends it rows.
func (a *aviary) plant() {
	a.t.Helper()
	a.must(a.owner("project", "create", "plant-a")...)
	a.must(a.owner("app", "create", "host-metrics")...)
	template := filepath.Join(absolute(filepath.Join("..", "..", "configs")), "host-metrics.yaml")
	a.must(a.owner("app", "install", "host-metrics", "--project", "plant-a", "--stage", "prod", "--template", template)...)
	flash := filepath.Join(a.t.TempDir(), "press.flash")
	a.must(a.owner("device", "create", "press", "--project", "plant-a", "--flash-file", flash)...)
	text, err := os.ReadFile(flash)
	if err != nil {
		a.t.Fatal(err)
	}
	var f wire.Flash
	if err := json.Unmarshal(text, &f); err != nil {
		a.t.Fatal(err)
	}
	const realm = "plant-a/host-metrics@prod"
	a.secrets["secret of a device"] = f.Secret
	a.secrets["secret of a service"] = shownOnce[httpapi.ServiceSecret](a, a.owner("realm", "service", "create", realm, "sample")...).Secret
	a.secrets["password of a database login"] = shownOnce[httpapi.DatabaseCredential](a, a.owner("db", "credentials", realm)...).Password
	for _, row := range []string{`{"cpu_percent": "canary-row"}`, `{"canary-column": 1}`, `"canary-row"`} {
		a.bulkhead("", a.owner("call", realm, "append.metrics", row)...)
		a.bulkhead("", a.owner("publish", realm, "com.example.canary", row)...)
	}
}

// shownOnce runs a command that shows a secret, which is not kept with what others said.
func shownOnce[T any](a *aviary, args ...string) (v T) {
	a.t.Helper()
	seen := a.seen
	code, said := a.bulkhead("", append(args, "-o", "json")...)
	a.seen = seen
	if err := json.Unmarshal([]byte(said), &v); err != nil || code != 0 {
		a.t.Fatalf("%v: %d: %s", args, code, said)
	}
	return v
}

// form posts a form that is refused.
func (a *aviary) form(path, text string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.d.ready.API+path, strings.NewReader(text))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", a.d.ready.API)
	response, err := a.browser.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	page, _ := io.ReadAll(response.Body) // a broken answer has nothing to find
	a.answers.Write(page)
}

func (a *aviary) get(url string) string {
	a.t.Helper()
	client := http.Client{Timeout: time.Minute}
	response, err := client.Get(url)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

func TestNoSecretIsInAnyOutput(t *testing.T) {
	t.Parallel()
	a := newAviary(t)
	operations := a.everyOperation()
	a.life()
	record := shownRecord(a)
	places := map[string]string{
		"log": a.d.output.String(), "metrics": a.get(a.d.ready.Ops + "/metrics"), "record": record, "answers": a.answers.String(), "commands": a.seen,
	}
	for where, text := range places {
		for what, value := range a.secrets {
			if strings.Contains(text, value) || strings.Contains(text, url.QueryEscape(value)) {
				t.Errorf("the %s is in the %s", what, where)
			}
		}
		if found := around(text, canarySecret); found != "" {
			t.Errorf("a secret that was sent is in the %s: %s", where, found)
		}
		if where == "log" || where == "metrics" {
			if found := around(text, canary); found != "" {
				t.Errorf("what was sent is in the %s: %s", where, found)
			}
		}
	}
	for what, value := range a.secrets {
		if len(value) < 16 {
			t.Errorf("the %s was not planted: %q", what, value)
		}
	}
	least := map[string]int{"log": 10_000, "metrics": 10_000, "record": 2_000, "answers": 20_000, "commands": 1_000}
	for where, text := range places {
		if len(text) < least[where] {
			t.Errorf("looked at %d bytes of the %s only", len(text), where)
		}
	}
	if operations < 60 || a.planted < 500 || len(a.secrets) < 8 {
		t.Errorf("planted too little: %d words in %d operations, %d secrets", a.planted, operations, len(a.secrets))
	}
}

// shownRecord is the whole audit log.
func shownRecord(a *aviary) string {
	a.t.Helper()
	seen := a.seen
	defer func() { a.seen = seen }()
	code, said := a.bulkhead("", a.owner("audit", "list", "-o", "json")...)
	if code != 0 {
		a.t.Fatalf("audit list: %s", said)
	}
	return said
}

// around shows where a word stands, with what is left and right of it.
func around(text, word string) string {
	var found []string
	for at := strings.Index(text, word); at >= 0 && len(found) < 5; {
		found = append(found, text[max(0, at-120):min(len(text), at+60)])
		next := strings.Index(text[at+1:], word)
		if next < 0 {
			break
		}
		at += 1 + next
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), "\n…")
}
