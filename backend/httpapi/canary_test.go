package httpapi_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
	"bulkhead/db"
)

func TestASecretShowsOnceAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, d, in := s.plant("plant-a")
	key := header("Idempotency-Key", "canary-1")
	service := must[httpapi.ServiceSecret](s, 201, "POST", "/realms/"+in.Realm+"/services", httpapi.ServiceCreate{Name: "dashboard"}, key)
	apikey := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "ci"}, header("Idempotency-Key", "canary-2"))
	rotated := must[httpapi.DeviceFlash](s, 200, "POST", "/projects/plant-a/devices/press-1/rotate", nil)
	ticket := must[httpapi.Ticket](s, 200, "POST", "/realms/"+in.Realm+"/ticket", nil, header("Idempotency-Key", "canary-3"))
	app := must[httpapi.AppCredential](s, 200, "POST", "/realms/"+in.Realm+"/app-credential", httpapi.AppCredentialCreate{Device: "press-1"})
	must[httpapi.DatabaseCredential](s, 200, "GET", "/realms/"+in.Realm+"/database-credentials", nil)
	canaries := map[string]string{
		"owner's key": s.key[21:73], "device's secret": d.Flash.Secret, "device's second secret": rotated.Flash.Secret, "service's secret": service.Secret,
		"API key": apikey.Key[21:73], "ticket": ticket.Ticket, "app's secret": app.Secret, "database password": canaryPassword,
		"header": "canary-in-header", "body": "canary-in-body", "cookie": "canary-in-cookie",
	}
	s.refused(401, "unauthenticated", "GET", "/whoami", nil, header("Authorization", "Bearer canary-in-header"))
	s.refused(422, "invalid", "POST", "/projects", `{"name":"x","canary-in-body":"canary-in-body"}`)
	s.refused(400, "invalid", "POST", "/projects", `{"name":"canary-in-body`)
	s.refused(404, "not_found", "GET", "/nowhere", nil, header("Cookie", "session=canary-in-cookie"))
	if _, err := s.database.Pool().Exec(t.Context(), "ALTER TABLE service RENAME TO gone"); err != nil { // what is internal is logged with its cause
		t.Fatal(err)
	}
	s.refused(500, "internal", "GET", "/realms/"+in.Realm+"/services", nil)
	s.refused(500, "internal", "POST", "/realms/"+in.Realm+"/services", httpapi.ServiceCreate{Name: "two"})
	if _, err := s.database.Pool().Exec(t.Context(), "ALTER TABLE gone RENAME TO service"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{"log": s.log.String(), "database": dump(t, s)}
	for _, op := range operations(t, s) {
		if op.method == "GET" && op.id != "reveal-database-credentials" {
			seen[op.id] = string(s.do("GET", httpapi.Prefix+example(op.path, in.Realm), nil).body)
		}
	}
	for where, text := range seen {
		for what, canary := range canaries {
			if strings.Contains(text, canary) {
				t.Errorf("the %s is in %s", what, where)
			}
		}
	}
	if len(seen["log"]) < 100 || len(seen["database"]) < 1000 || len(seen) < 15 {
		t.Errorf("looked at too little: %d bytes of log, %d of database, %d places", len(seen["log"]), len(seen["database"]), len(seen))
	}
}

// dump gives all rows of all tables as text, with bytes as they are too.
func dump(t *testing.T, s *stage) string {
	t.Helper()
	var text strings.Builder
	pool := s.database.Pool()
	names, err := pool.Query(t.Context(), "SELECT relname FROM pg_class WHERE relnamespace = 'bulkhead'::regnamespace AND relkind = 'r' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	var tables []string
	for names.Next() {
		var name string
		if err := names.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	for _, table := range tables {
		rows, err := pool.Query(t.Context(), "SELECT to_jsonb(t)::text FROM "+db.Schema+"."+table+" t")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var row string
			if err := rows.Scan(&row); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&text, row, unhex(row))
		}
		rows.Close()
	}
	return text.String()
}

var base64Text = regexp.MustCompile(`[A-Za-z0-9+/]{20,}=*`)

// unhex shows what bytea columns have in them: as it is, and what base64 in it hides.
func unhex(row string) string {
	var out strings.Builder
	for _, part := range strings.Split(row, `\\x`)[1:] {
		digits, _, _ := strings.Cut(part, `"`)
		raw, err := hex.DecodeString(digits)
		if err != nil {
			continue
		}
		out.Write(raw)
		for _, hidden := range base64Text.FindAllString(string(raw), -1) {
			shown, _ := base64.StdEncoding.DecodeString(hidden) // what is none shows as far as it goes
			out.Write(shown)
		}
	}
	return out.String()
}
