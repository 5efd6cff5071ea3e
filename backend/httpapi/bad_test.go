package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
)

// bad is a request that is refused.
type bad struct {
	method, path, body string
	status             int
	code               string
}

// badRequests are by route; each route has its own. {realm} and {serial} stand for those of the plant.
var badRequests = map[string][]bad{
	"list-projects": {
		{"GET", "/projects?limit=0", "", 422, "invalid"}, {"GET", "/projects?limit=201", "", 422, "invalid"}, {"GET", "/projects?limit=x", "", 422, "invalid"},
		{"GET", "/projects?cursor=x", "", 422, "invalid"}, {"GET", "/projects?cursor=MTo", "", 422, "invalid"}, {"GET", "/projects?cursor=MTphAA", "", 422, "invalid"},
		{"GET", "/projects?cursor=" + strings.Repeat("a", 401), "", 422, "invalid"}, {"GET", "/projects?offset=1", "", 422, "invalid"},
	},
	"create-project": {
		{"POST", "/projects", "", 400, "invalid"}, {"POST", "/projects", "{", 400, "invalid"}, {"POST", "/projects", "null", 422, "invalid"}, {"POST", "/projects", "[]", 422, "invalid"},
		{"POST", "/projects", "{}", 422, "invalid"}, {"POST", "/projects", `{"name":1}`, 422, "invalid"}, {"POST", "/projects", `{"name":"A"}`, 422, "invalid"},
		{"POST", "/projects", `{"name":"x","key":5}`, 422, "invalid"}, {"POST", "/projects", `{"NAME":"x"}`, 422, "invalid"}, {"POST", "/projects", `{"name":"x","Title":"y"}`, 422, "invalid"},
		{"POST", "/projects", `{"name":"x"} {"name":"y"}`, 400, "invalid"}, {"POST", "/projects", `{"name":"x","title":"` + strings.Repeat("a", 201) + `"}`, 422, "invalid"},
		{"POST", "/projects", `{"name":"x","title":"a\nb"}`, 422, "invalid"}, {"POST", "/projects", `{"name":"plant-a"}`, 409, "conflict"},
		{"POST", "/projects", `{"name":"` + strings.Repeat("a", 70<<10) + `"}`, 413, "body_too_large"}, {"POST", "/projects", `{"name":"` + strings.Repeat("a", 3<<20) + `"}`, 413, "body_too_large"},
		{"POST", "/projects", `{"name":"abcdefab-1234-4234-8234-123456789abc"}`, 422, "invalid"}, {"POST", "/projects", `{"name":"a\u0000b"}`, 422, "invalid"},
		{"POST", "/projects", "name=x", 400, "invalid"},
	},
	"get-project":    {{"GET", "/projects/nowhere", "", 404, "not_found"}, {"GET", "/projects/1", "", 404, "not_found"}, {"GET", "/projects/A", "", 404, "not_found"}, {"GET", "/projects/%00", "", 404, "not_found"}, {"GET", "/projects/..%2f..%2fetc", "", 404, "not_found"}, {"GET", "/projects/" + strings.Repeat("a", 64), "", 422, "invalid"}},
	"update-project": {{"PATCH", "/projects/plant-a", `{"name":"B"}`, 422, "invalid"}, {"PATCH", "/projects/plant-a", `{"x":1}`, 422, "invalid"}, {"PATCH", "/projects/nowhere", `{}`, 404, "not_found"}, {"PATCH", "/projects/plant-a", `{"name":"plant-b"}`, 409, "conflict"}, {"PATCH", "/projects/plant-a", "", 400, "invalid"}},
	"delete-project": {{"DELETE", "/projects/nowhere", "", 404, "not_found"}, {"DELETE", "/projects/plant-a?force=true", "", 422, "invalid"}},

	"list-apps":  {{"GET", "/apps?limit=-1", "", 422, "invalid"}, {"GET", "/apps?cursor=%ff", "", 422, "invalid"}},
	"create-app": {{"POST", "/apps", `{"name":""}`, 422, "invalid"}, {"POST", "/apps", `{"name":"host-metrics"}`, 409, "conflict"}, {"POST", "/apps", `{"name":"x","owner":"nowhere"}`, 404, "not_found"}, {"POST", "/apps", `{"name":"x","owner":5}`, 422, "invalid"}},
	"get-app":    {{"GET", "/apps/nowhere", "", 404, "not_found"}, {"GET", "/apps/02", "", 404, "not_found"}},
	"update-app": {{"PATCH", "/apps/host-metrics", `{"name":"x"}`, 422, "invalid"}, {"PATCH", "/apps/nowhere", `{}`, 404, "not_found"}},
	"rotate-app": {{"POST", "/apps/nowhere/rotate", "", 404, "not_found"}},
	"delete-app": {{"DELETE", "/apps/nowhere", "", 404, "not_found"}, {"DELETE", "/apps/host-metrics", "", 409, "conflict"}},

	"list-installations": {{"GET", "/projects/nowhere/installations", "", 404, "not_found"}, {"GET", "/projects/plant-a/installations?cursor=MTpub25zZW5zZQ", "", 422, "invalid"}},
	"install-app": {
		{"POST", "/projects/plant-a/installations", `{"app":"host-metrics","stage":"prod","template":"template"}`, 409, "conflict"},
		{"POST", "/projects/plant-a/installations", `{"app":"host-metrics","stage":"PROD","template":"template"}`, 422, "invalid"},
		{"POST", "/projects/plant-a/installations", `{"app":"host-metrics","stage":"dev","template":"nonsense"}`, 422, "invalid"},
		{"POST", "/projects/plant-a/installations", `{"app":"host-metrics","stage":"dev","template":""}`, 422, "invalid"},
		{"POST", "/projects/plant-a/installations", `{"app":"host-metrics","stage":"dev"}`, 422, "invalid"},
		{"POST", "/projects/plant-a/installations", `{"app":"nowhere","stage":"dev","template":"template"}`, 404, "not_found"},
		{"POST", "/projects/nowhere/installations", `{"app":"host-metrics","stage":"dev","template":"template"}`, 404, "not_found"},
		{"POST", "/projects/plant-a/installations", `{"app":"host-metrics","stage":"dev","template":"template` + strings.Repeat("x", 1<<20) + `"}`, 422, "invalid"},
		{"POST", "/projects/plant-a/installations", `{"app":"host-metrics","stage":"dev","template":{}}`, 422, "invalid"},
	},
	"get-installation": {{"GET", "/projects/plant-a/installations/host-metrics@dev", "", 404, "not_found"}, {"GET", "/projects/plant-b/installations/{realm}", "", 404, "not_found"}, {"GET", "/projects/plant-a/installations/nonsense", "", 404, "not_found"}, {"GET", "/projects/plant-b/installations/plant-a%2Fhost-metrics@prod", "", 404, "not_found"}},
	"uninstall-app":    {{"DELETE", "/projects/plant-b/installations/{realm}", "", 404, "not_found"}, {"DELETE", "/projects/plant-a/installations/{realm}?export=perhaps", "", 422, "invalid"}},

	"find-device":    {{"GET", "/devices/nowhere", "", 404, "not_found"}, {"GET", "/devices/press-1", "", 404, "not_found"}, {"GET", "/devices/00000000-0000-4000-8000-000000000000", "", 404, "not_found"}},
	"list-devices":   {{"GET", "/projects/nowhere/devices", "", 404, "not_found"}, {"GET", "/projects/plant-a/devices?limit=1.5", "", 422, "invalid"}},
	"create-device":  {{"POST", "/projects/plant-a/devices", `{"name":"press-1"}`, 409, "conflict"}, {"POST", "/projects/nowhere/devices", `{"name":"x"}`, 404, "not_found"}, {"POST", "/projects/plant-a/devices", `{"name":"x","secret":"mine"}`, 422, "invalid"}},
	"get-device":     {{"GET", "/projects/plant-b/devices/{serial}", "", 404, "not_found"}, {"GET", "/projects/plant-a/devices/nowhere", "", 404, "not_found"}, {"GET", "/projects/nowhere/devices/press-1", "", 404, "not_found"}},
	"update-device":  {{"PATCH", "/projects/plant-a/devices/press-1", `{"name":null}`, 422, "invalid"}, {"PATCH", "/projects/plant-b/devices/{serial}", `{"name":"x"}`, 404, "not_found"}, {"PATCH", "/projects/plant-a/devices/press-1", `{"suspended":true}`, 422, "invalid"}},
	"rotate-device":  {{"POST", "/projects/plant-b/devices/{serial}/rotate", "", 404, "not_found"}, {"POST", "/projects/plant-a/devices/press-1/rotate", `{"grace_seconds":-1}`, 422, "invalid"}, {"POST", "/projects/plant-a/devices/press-1/rotate", `{"grace_seconds":3601}`, 422, "invalid"}, {"POST", "/projects/plant-a/devices/press-1/rotate", `{"grace_seconds":1.5}`, 422, "invalid"}},
	"suspend-device": {{"POST", "/projects/plant-b/devices/{serial}/suspend", "", 404, "not_found"}},
	"resume-device":  {{"POST", "/projects/plant-b/devices/{serial}/resume", "", 404, "not_found"}},
	"revoke-device":  {{"DELETE", "/projects/plant-b/devices/{serial}", "", 404, "not_found"}},

	"list-realms":   {{"GET", "/realms?limit=1000", "", 422, "invalid"}},
	"get-realm":     {{"GET", "/realms/realm-1-2-prod", "", 404, "not_found"}, {"GET", "/realms/realm-01-2-prod", "", 404, "not_found"}, {"GET", "/realms/plant-a%2Fhost-metrics", "", 404, "not_found"}, {"GET", "/realms/" + strings.Repeat("a", 141), "", 422, "invalid"}},
	"create-ticket": {{"POST", "/realms/device-1/ticket", "", 404, "not_found"}},
	"list-sessions": {{"GET", "/realms/device-1/sessions", "", 404, "not_found"}, {"GET", "/realms/{realm}/sessions?cursor=MTp4", "", 422, "invalid"}},
	"end-session":   {{"DELETE", "/realms/{realm}/sessions/5", "", 404, "not_found"}, {"DELETE", "/realms/{realm}/sessions/1e3", "", 422, "invalid"}},

	"list-services":               {{"GET", "/realms/realm-1-2-dev/services", "", 404, "not_found"}},
	"create-service":              {{"POST", "/realms/{realm}/services", `{"name":"service:x"}`, 422, "invalid"}, {"POST", "/realms/{realm}/services", `{}`, 422, "invalid"}},
	"delete-service":              {{"DELETE", "/realms/{realm}/services/nowhere", "", 404, "not_found"}, {"DELETE", "/realms/{realm}/services/%00", "", 404, "not_found"}},
	"reveal-app-credential":       {{"POST", "/realms/{realm}/app-credential", `{}`, 422, "invalid"}, {"POST", "/realms/{realm}/app-credential", `{"device":"nowhere"}`, 404, "not_found"}},
	"reveal-database-credentials": {{"GET", "/realms/device-1/database-credentials", "", 404, "not_found"}},
	"export-table":                {{"GET", "/realms/{realm}/tables/nowhere/export", "", 404, "not_found"}, {"GET", "/realms/{realm}/tables/metrics/export?format=exe", "", 422, "invalid"}, {"GET", "/realms/{realm}/tables/metrics%22%3B/export", "", 404, "not_found"}},

	"list-apikeys":  {{"GET", "/apikeys?limit=-5", "", 422, "invalid"}},
	"create-apikey": {{"POST", "/apikeys", `{"name":""}`, 422, "invalid"}, {"POST", "/apikeys", `{"name":"x","expires_in_seconds":59}`, 422, "invalid"}, {"POST", "/apikeys", `{"name":"x","expires_in_seconds":31536001}`, 422, "invalid"}, {"POST", "/apikeys", `{"name":" "}`, 422, "invalid"}, {"POST", "/apikeys", `{"name":"x","owner":false}`, 422, "invalid"}},
	"revoke-apikey": {{"DELETE", "/apikeys/nowhere", "", 404, "not_found"}, {"DELETE", "/apikeys/%00", "", 404, "not_found"}, {"DELETE", "/apikeys/" + strings.Repeat("a", 17), "", 422, "invalid"}},

	"list-providers": {{"GET", "/providers?limit=0", "", 422, "invalid"}},
	"create-provider": {
		{"POST", "/providers", `{"name":"x","issuer":"http://idp.example","client_id":"x"}`, 422, "invalid"}, {"POST", "/providers", `{"name":"x","issuer":"https://u@idp.example","client_id":"x"}`, 422, "invalid"},
		{"POST", "/providers", `{"name":"x","issuer":"https://idp.example?x","client_id":"x"}`, 422, "invalid"}, {"POST", "/providers", `{"name":"1x","issuer":"https://idp.example","client_id":"x"}`, 422, "invalid"},
		{"POST", "/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x","algorithms":["HS256"]}`, 422, "invalid"}, {"POST", "/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x","algorithms":["none"]}`, 422, "invalid"},
		{"POST", "/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x","scopes":["profile"]}`, 422, "invalid"}, {"POST", "/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x","scopes":["openid","a b"]}`, 422, "invalid"},
		{"POST", "/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x","domains":["*.example"]}`, 422, "invalid"}, {"POST", "/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x","ca":"no PEM"}`, 422, "invalid"},
		{"POST", "/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x","claims":{"subject":"email"}}`, 422, "invalid"}, {"POST", "/providers", `{"name":"x","issuer":"https://idp.example"}`, 422, "invalid"},
	},
	"get-provider":            {{"GET", "/providers/nowhere", "", 404, "not_found"}, {"GET", "/providers/5", "", 404, "not_found"}, {"GET", "/providers/%00", "", 404, "not_found"}},
	"update-provider":         {{"PATCH", "/providers/nowhere", `{}`, 404, "not_found"}, {"PATCH", "/providers/nowhere", `{"name":"x"}`, 422, "invalid"}},
	"delete-provider":         {{"DELETE", "/providers/nowhere", "", 404, "not_found"}},
	"list-project-providers":  {{"GET", "/projects/nowhere/providers", "", 404, "not_found"}},
	"create-project-provider": {{"POST", "/projects/nowhere/providers", `{"name":"x","issuer":"https://idp.example","client_id":"x"}`, 404, "not_found"}, {"POST", "/projects/plant-a/providers", `{"name":"x","issuer":"ftp://idp.example","client_id":"x"}`, 422, "invalid"}},
	"get-project-provider":    {{"GET", "/projects/plant-a/providers/nowhere", "", 404, "not_found"}},
	"update-project-provider": {{"PATCH", "/projects/plant-a/providers/nowhere", `{}`, 404, "not_found"}},
	"delete-project-provider": {{"DELETE", "/projects/plant-a/providers/nowhere", "", 404, "not_found"}},
	"list-audit":              {{"GET", "/audit?project=nowhere", "", 404, "not_found"}, {"GET", "/audit?cursor=MTp4", "", 422, "invalid"}},
	"show-audit-key":          {{"GET", "/audit/key?x=1", "", 422, "invalid"}, {"POST", "/audit/key", "", 405, "method_not_allowed"}},
	"list-audit-logs":         {{"GET", "/audit/logs?limit=0", "", 422, "invalid"}},
	"show-audit-checkpoint":   {{"GET", "/audit/logs/nowhere/checkpoint", "", 404, "not_found"}, {"GET", "/audit/logs/-5/checkpoint", "", 404, "not_found"}, {"GET", "/audit/logs/" + strings.Repeat("1", 21) + "/checkpoint", "", 422, "invalid"}},
	"show-audit-tile":         {{"GET", "/audit/logs/nowhere/tile/0/000", "", 404, "not_found"}, {"GET", "/audit/logs/platform/tile/64/000", "", 404, "not_found"}, {"GET", "/audit/logs/platform/tile/..%2f..%2fetc", "", 404, "not_found"}, {"GET", "/audit/logs/platform/tile/0/000.p/0", "", 404, "not_found"}, {"GET", "/audit/logs/platform/tile/" + strings.Repeat("0", 101), "", 422, "invalid"}},
	"prove-audit-consistency": {{"GET", "/audit/logs/platform/consistency", "", 422, "invalid"}, {"GET", "/audit/logs/platform/consistency?from=0", "", 422, "invalid"}, {"GET", "/audit/logs/nowhere/consistency?from=1", "", 404, "not_found"}},
	"prove-audit-entry":       {{"GET", "/audit/entries/0/proof", "", 422, "invalid"}, {"GET", "/audit/entries/x/proof", "", 422, "invalid"}, {"GET", "/audit/entries/9223372036854775807/proof", "", 404, "not_found"}},
	"list-sealing-keys":       {{"GET", "/keys?x=1", "", 422, "invalid"}},
	"rotate-sealing-keys":     {{"POST", "/keys/rotate", "", 400, "invalid"}, {"POST", "/keys/rotate", `{"new_key":"yes"}`, 422, "invalid"}, {"POST", "/keys/rotate", `{"key":"x"}`, 422, "invalid"}},
	"drop-sealing-key":        {{"DELETE", "/keys/" + strings.Repeat("a", 17), "", 422, "invalid"}},
	"whoami":                  {{"GET", "/whoami?x=1", "", 422, "invalid"}, {"POST", "/whoami", "", 405, "method_not_allowed"}},
	"version":                 {{"PUT", "/version", "", 405, "method_not_allowed"}, {"GET", "/version/x", "", 404, "not_found"}},
}

func TestBadInputIsRefusedWithACodeAndWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, d, in := s.plant("plant-a")
	s.plant("plant-b")
	before := len(auditActions(t, s))
	fill := strings.NewReplacer("{realm}", in.Realm, "{serial}", string(d.Device.Serial))
	for _, op := range operations(t, s) {
		if len(badRequests[op.id]) == 0 {
			t.Errorf("%s has no bad request in the table", op.id)
		}
		for _, b := range badRequests[op.id] {
			var body any
			if b.body != "" {
				body = b.body
			}
			p := s.refused(b.status, b.code, b.method, fill.Replace(b.path), body, header("If-Match", "*"))
			if strings.Contains(p.Detail, "SQL") || strings.Contains(p.Detail, "constraint") {
				t.Errorf("%s %s tells %q", b.method, b.path, p.Detail)
			}
		}
	}
	if after := len(auditActions(t, s)); after != before {
		t.Errorf("refused requests left %d audit entries: %v", after-before, auditActions(t, s)[before:])
	}
}

func TestAPathThatIsNoneIsAProblemToo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, path := range []string{"", "/", "/%2e%2e/x", "/projects/", "//projects", "/projects/../projects", "/projects/./x", "/nowhere", "/docs", "/openapi.yaml", "/schemas/Project", "/projects/a/b/c/d"} {
		s.refused(404, "not_found", "GET", path, nil)
	}
	a := s.do("PUT", httpapi.Prefix+"/projects", nil)
	if a.status != 405 || !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("%d, Allow %q", a.status, a.header.Get("Allow"))
	}
	s.refused(405, "method_not_allowed", "BREW", "/projects", nil)
}

func TestWithoutAValidKeyNothingIsAnswered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	stranger := string(account.NewAPIKey().Text().Reveal())
	drop := func(r *http.Request) { r.Header.Del("Authorization") }
	twice := func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+s.key) }
	for _, c := range []change{drop, twice, header("Authorization", ""), header("Authorization", "Bearer"), header("Authorization", "Basic "+s.key),
		header("Authorization", "Bearer "+stranger), header("Authorization", s.key), header("Authorization", "Bearer "+s.key+"x"), header("Authorization", "Bearer  "+s.key)} {
		for _, op := range operations(t, s) {
			if op.id == "login" {
				continue // it is how one becomes known
			}
			s.clock.Pass(time.Second) // wrong keys are slowed down
			path := strings.NewReplacer("{project}", "x", "{app}", "x", "{device}", "x", "{installation}", "x", "{realm}", "x", "{session}", "1",
				"{service}", "x", "{table}", "x", "{id}", "x").Replace(op.path)
			a := s.do(op.method, httpapi.Prefix+path, "not even JSON", c)
			if a.status != 401 || a.header.Get("WWW-Authenticate") == "" || a.problem(t).Code != "unauthenticated" {
				t.Fatalf("%s: %d %s", op.id, a.status, a.body)
			}
		}
		s.refused(401, "unauthenticated", "GET", "/nowhere", nil, c)
	}
}

func TestACredentialInTheURLIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	escaped := strings.ReplaceAll(s.key, "_", "%5f")
	for _, path := range []string{"/whoami?Authorization=x", "/whoami?api_key=x", "/whoami?access_token=x", "/whoami?token=x", "/whoami?x=" + s.key, "/whoami?x=" + escaped,
		"/whoami?" + escaped + "=1", "/projects/" + s.key, "/projects/" + escaped, "/whoami?TOKEN=x"} {
		p := s.refused(400, "credential_in_url", "GET", path, nil)
		if strings.Contains(p.Detail, s.key[21:30]) {
			t.Errorf("%s", p.Detail)
		}
		s.refused(400, "credential_in_url", "GET", path, nil, func(r *http.Request) { r.Header.Del("Authorization") })
	}
	if strings.Contains(s.log.String(), s.key[21:40]) {
		t.Error("the key is in the log")
	}
}

// noted keeps what was refused.
type noted struct {
	mu   sync.Mutex // guards list
	list []audit.Entry
}

func (n *noted) Note(_ context.Context, e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, e)
}

func (n *noted) told() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text, _ := json.Marshal(n.list)
	return string(text)
}

func TestOtherSitesCannotSendForABrowser(t *testing.T) {
	t.Parallel()
	refusals := &noted{}
	s := newStage(t, func(c *httpapi.Config) { c.Refusals = refusals })
	body := httpapi.ProjectCreate{Name: "plant-a"}
	for _, c := range []change{header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "https://evil.example")} {
		s.refused(403, "cross_origin", "POST", "/projects", body, c)
		s.refused(403, "cross_origin", "DELETE", "/projects/x", nil, c)
	}
	must[httpapi.List[httpapi.Project]](s, 200, "GET", "/projects", nil, header("Origin", "https://evil.example"))
	must[httpapi.Project](s, 201, "POST", "/projects", body, header("Sec-Fetch-Site", "same-origin"))
	if got := strings.Count(refusals.told(), "was not sent by a page of this server"); got != 6 {
		t.Errorf("%d refusals are on record, want 6: %s", got, refusals.told())
	}
}

func TestABodyOfAnotherTypeIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, ct := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/cbor"} {
		s.refused(415, "unsupported_media_type", "POST", "/projects", `{"name":"plant-a"}`, header("Content-Type", ct))
	}
	must[httpapi.Project](s, 201, "POST", "/projects", `{"name":"plant-a"}`, header("Content-Type", "application/json; charset=utf-8"))
}

func TestEveryAnswerHasTheHeadersThatKeepABrowserSafe(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, path := range []string{"/whoami", "/nowhere", "/openapi.json", "/projects?limit=0", "/whoami?token=x"} {
		a := s.do("GET", httpapi.Prefix+path, nil)
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if len(a.header.Get("X-Request-Id")) < 20 || a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}

func TestARefusalDoesNotRepeatWhatWasSent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const canary = "CANARY-value"
	for _, r := range []bad{
		{"POST", "/projects", `{"name":"` + canary + `"}`, 422, "invalid"}, {"POST", "/projects", `{"name":["` + canary + `"]}`, 422, "invalid"},
		{"POST", "/projects", `"` + canary + `"`, 422, "invalid"}, {"POST", "/projects", `{"name":"` + canary, 400, "invalid"},
		{"GET", "/projects?limit=" + canary, "", 422, "invalid"}, {"GET", "/projects?cursor=" + canary, "", 422, "invalid"},
		{"GET", "/projects/" + canary, "", 404, "not_found"}, {"GET", "/" + canary, "", 404, "not_found"}, {"DELETE", "/realms/device-1/sessions/" + canary, "", 422, "invalid"},
	} {
		var body any
		if r.body != "" {
			body = r.body
		}
		p := s.refused(r.status, r.code, r.method, r.path, body)
		if text := fmt.Sprint(p); strings.Contains(text, canary) {
			t.Errorf("%s %s: %s", r.method, r.path, text)
		}
	}
}
