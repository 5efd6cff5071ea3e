// Package audit_test plays a person with superuser on the database against the real server and the real command line.
package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"bulkhead/backend/audit/sequencer"
	"bulkhead/db/dbtest"
	"bulkhead/internal/cli"
	"bulkhead/internal/server"
	"bulkhead/internal/server/servertest"
)

// TestMain lets more tests run at once than there are processors: they mostly wait for a server to look again.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // which every test program has
	goleak.VerifyTestMain(dbtest.Main(m))
}

// scene is a server with one project, and a superuser of its database.
type scene struct {
	t        *testing.T
	options  server.Options
	server   *server.Server
	super    *pgxpool.Pool
	contexts string
	project  int64
}

const patrol = 200 * time.Millisecond

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, contexts: t.TempDir(), options: servertest.Options(t)}
	s.options.AuditPatrol = patrol
	config, err := pgxpool.ParseConfig(string(s.options.DatabaseURL.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = "bulkhead"
	if s.super, err = pgxpool.NewWithConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.super.Close)
	s.start()
	t.Cleanup(func() { s.t = t; s.stop() })
	code, said := s.cli("project", "create", "plant-a", "-o", "json")
	var made struct {
		Key int64 `json:"key"`
	}
	if err := json.Unmarshal([]byte(said), &made); code != 0 || err != nil {
		t.Fatalf("%d %v %s", code, err, said)
	}
	s.project = made.Key
	return s
}

func (s *scene) start() {
	s.t.Helper()
	var err error
	if s.server, err = server.Start(s.t.Context(), s.options); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) stop() {
	s.t.Helper()
	servertest.Stop(s.t, s.server)
}

// cli runs a command line against the server and gives its exit code and all that it said.
func (s *scene) cli(args ...string) (int, string) {
	return s.offline(append(args, "--server", s.server.API(), "--ca-file", s.server.CAFile(), "--api-key-file", s.server.OwnerKeyFile())...)
}

func (s *scene) offline(args ...string) (int, string) {
	var out, errOut bytes.Buffer
	code := cli.Main(args, []string{"BULKHEAD_CONTEXT_DIR=" + s.contexts}, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errOut})
	if code == 0 {
		return code, out.String()
	}
	return code, errOut.String()
}

func (s *scene) devices(from, to int) {
	s.t.Helper()
	for i := from; i < to; i++ {
		code, said := s.cli("device", "create", fmt.Sprintf("press-%d", i), "--project", "plant-a", "--flash-file", filepath.Join(s.t.TempDir(), "flash"))
		if code != 0 {
			s.t.Fatalf("%d %s", code, said)
		}
	}
}

// signed waits until every entry is part of a signed state.
func (s *scene) signed() {
	s.t.Helper()
	s.until("all entries to be signed", func() bool {
		var done bool
		s.scan(&done, `SELECT NOT EXISTS (SELECT FROM audit_queue) AND NOT EXISTS (SELECT FROM audit_leaf l LEFT JOIN audit_checkpoint c USING (log_key)
			GROUP BY log_key, c.size HAVING c.size IS DISTINCT FROM count(*))`)
		return done
	})
}

// until asks again until the answer is yes: a server gives no signal that a superuser of its database could wait for.
func (s *scene) until(what string, yes func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for !yes() {
		select {
		case <-ticks.C:
		case <-deadline.C:
			s.t.Fatalf("waited for %s: %s", what, s.readiness())
		}
	}
}

func (s *scene) wantVerify(code int, says string) {
	s.t.Helper()
	got, said := s.cli("audit", "verify")
	if got != code || !strings.Contains(said, says) {
		s.t.Errorf("verify: exit code %d, want %d with %q: %s", got, code, says, said)
	}
}

func (s *scene) readiness() string {
	return s.get("/readyz")
}

func (s *scene) get(path string) string {
	response, err := http.Get(s.server.Ops() + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return string(text)
}

func (s *scene) wantAlarm(reason, says string) {
	s.t.Helper()
	s.until("an alarm "+reason+" "+says, func() bool {
		text := s.readiness()
		return strings.Contains(text, reason) && strings.Contains(text, says) && !strings.Contains(s.get("/metrics"), fmt.Sprintf("bulkhead_audit_alarms{reason=%q} 0", reason))
	})
}

func (s *scene) wantNoAlarm() {
	s.t.Helper()
	s.until("the end of the alarms", func() bool { return strings.Contains(s.readiness(), `{"name":"audit","ok":true}`) })
}

func (s *scene) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.super.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *scene) scan(to any, sql string, args ...any) {
	s.t.Helper()
	if err := s.super.QueryRow(s.t.Context(), sql, args...).Scan(to); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *scene) begin(sql string) pgx.Tx {
	s.t.Helper()
	tx, err := s.super.Begin(s.t.Context())
	if err == nil {
		_, err = tx.Exec(s.t.Context(), sql)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return tx
}

// guarded are the tables whose triggers a superuser disables for a moment, faster than anybody looks.
var guarded = []string{"audit_entry", "audit_personal", "audit_leaf", "audit_tile", "audit_checkpoint"}

// unguarded runs a statement with the triggers off, in one transaction, and puts them on again.
func (s *scene) unguarded(sql string, args ...any) {
	s.t.Helper()
	tx := s.begin(triggers(disable))
	defer func() { _ = tx.Rollback(context.WithoutCancel(s.t.Context())) }() // after a commit it does nothing
	tag, err := tx.Exec(s.t.Context(), sql, args...)
	if err == nil {
		_, err = tx.Exec(s.t.Context(), triggers(enable))
	}
	if err == nil {
		err = tx.Commit(s.t.Context())
	}
	if err != nil || tag.RowsAffected() == 0 {
		s.t.Fatalf("%s: %d rows, %v", sql, tag.RowsAffected(), err)
	}
}

const (
	disable = "DISABLE"
	enable  = "ENABLE ALWAYS"
)

func triggers(what string) string {
	return fmt.Sprintf(`DO $$ DECLARE t record; BEGIN
		FOR t IN SELECT tgrelid::regclass AS target, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = ANY (ARRAY['%s']::regclass[]) LOOP
			EXECUTE format('ALTER TABLE %%s %s TRIGGER %%I', t.target, t.tgname);
		END LOOP; END $$;`, strings.Join(guarded, "','"), what)
}

func (s *scene) refused(sql, says string) {
	s.t.Helper()
	conn, err := s.super.Acquire(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Release()
	_, err = conn.Exec(s.t.Context(), sql)
	if err == nil || !strings.Contains(err.Error(), says) {
		s.t.Errorf("%s: %v", sql, err)
	}
	if _, err := conn.Exec(s.t.Context(), "RESET session_replication_role"); err != nil {
		s.t.Fatal(err)
	}
}

// backup copies the log, and restore puts a copy in place of it: of one log, or of all where it is 0.
func (s *scene) backup(name string) {
	s.t.Helper()
	s.exec("CREATE SCHEMA backup_" + name)
	for _, table := range guarded {
		s.exec(fmt.Sprintf("CREATE TABLE backup_%s.%s AS TABLE %s", name, table, table))
	}
}

func (s *scene) restore(name string, log int64) {
	s.t.Helper()
	var sql strings.Builder
	sql.WriteString("BEGIN;" + triggers(disable))
	for _, table := range guarded {
		where := "true"
		if log != 0 && table != "audit_personal" {
			where = fmt.Sprintf("log_key = %d", log)
		} else if log != 0 {
			continue
		}
		fmt.Fprintf(&sql, "DELETE FROM %s WHERE %s; INSERT INTO %s SELECT * FROM backup_%s.%s WHERE %s;", table, where, table, name, table, where)
	}
	sql.WriteString(triggers(enable) + "COMMIT;")
	s.exec(sql.String())
}

func (s *scene) leaves() [][]byte {
	s.t.Helper()
	rows, err := s.super.Query(s.t.Context(), `SELECT e.leaf FROM audit_leaf l JOIN audit_entry e USING (sequence) WHERE l.log_key = $1 ORDER BY l.place`, s.project)
	if err != nil {
		s.t.Fatal(err)
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		s.t.Fatal(err)
	}
	return leaves
}

func (s *scene) publicKey() string {
	s.t.Helper()
	key, err := sequencer.EnsureKey(filepath.Join(s.options.Config.StateDir, "audit.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	return key.Public
}

func (s *scene) signerName() string {
	s.t.Helper()
	v, err := note.NewVerifier(s.publicKey())
	if err != nil {
		s.t.Fatal(err)
	}
	return v.Name()
}
