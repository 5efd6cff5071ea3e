package db_test

import (
	"strings"
	"testing"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

var tester = audit.Actor{Kind: audit.APIKey, ID: "tester", Name: "Tester", Address: "192.0.2.1", RequestID: "r"}

func TestTheAuditLogIsAppendOnlyForItsOwnerToo(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	log := db.NewAudit(d.DB)
	if err := log.Record(t.Context(), audit.New(tester, audit.TicketIssue, 7, audit.Asset{Kind: "realm", Name: "device-7"})); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"UPDATE audit_entry SET actor_id = 'nobody'",
		"UPDATE audit_personal SET data = ''",
		"DELETE FROM audit_entry",
		"TRUNCATE audit_entry",
		"SET session_replication_role = replica; DELETE FROM audit_entry",
		"SET session_replication_role = replica; TRUNCATE audit_entry",
	} {
		_, err := d.Pool().Exec(t.Context(), sql)
		if err == nil || !strings.Contains(err.Error(), "append only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	entries, err := log.Entries(t.Context(), audit.Query{Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Actor != tester || entries[0].Project != 7 || entries[0].Time.IsZero() {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestAChangeWhoseEntryCannotBeWrittenIsNotMade(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	if _, err := d.Pool().Exec(t.Context(), "ALTER TABLE audit_entry ADD CONSTRAINT full_disk CHECK (false) NOT VALID"); err != nil {
		t.Fatal(err)
	}
	assets := db.NewAssets(d.DB)
	p := asset.Project{Key: 7, Name: "plant-a", Revision: 1}
	err := assets.InsertProject(t.Context(), p, audit.New(tester, audit.ProjectCreate, 7, audit.Asset{Kind: "project", Key: 7}))
	if errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
	if _, err := assets.Project(t.Context(), 7); errs.KindOf(err) != wire.NotFound {
		t.Errorf("it is there: %v", err)
	}
}

func TestEntriesAreListedByProjectNewestFirst(t *testing.T) {
	t.Parallel()
	log := db.NewAudit(dbtest.New(t).DB)
	for _, project := range []wire.Key{1, 2, 1, 0, 1} {
		if err := log.Record(t.Context(), audit.New(tester, audit.TicketIssue, project, audit.Asset{Kind: "realm"})); err != nil {
			t.Fatal(err)
		}
	}
	first, err := log.Entries(t.Context(), audit.Query{Project: 1, Limit: 2})
	if err != nil || len(first) != 2 || first[0].Sequence <= first[1].Sequence {
		t.Fatalf("%+v, %v", first, err)
	}
	rest, err := log.Entries(t.Context(), audit.Query{Project: 1, Before: first[1].Sequence, Limit: 2})
	if err != nil || len(rest) != 1 || rest[0].Project != 1 {
		t.Errorf("%+v, %v", rest, err)
	}
	if all, err := log.Entries(t.Context(), audit.Query{Limit: 10}); err != nil || len(all) != 5 {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

func TestTheFunctionRefusesWhatIsNoEntry(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	const call = `SELECT audit_append($1, $2, $3, 'x', 'realm', NULL, NULL, $4, $5, $6)`
	const body = `{"action":"realm.ticket","actor":{"id":"x","kind":"system"},"asset":{"kind":"realm"},"before":{"time":1},"outcome":"done","severity":"info"}`
	with := func(more string) []byte { return []byte(strings.TrimSuffix(body, "}") + "," + more + "}") }
	salt := make([]byte, 32)
	for name, args := range map[string][]any{
		"no JSON":               {0, "realm.ticket", "info", []byte(body + "}"), nil, nil},
		"no UTF-8":              {0, "realm.ticket", "info", with("\"a\":\"\xff\""), nil, nil},
		"another action":        {0, "realm.close", "info", []byte(body), nil, nil},
		"another severity":      {0, "realm.ticket", "notice", []byte(body), nil, nil},
		"no action":             {0, nil, "info", []byte(body), nil, nil},
		"its own time":          {0, "realm.ticket", "info", with(`"time":"2001-01-01T00:00:00Z"`), nil, nil},
		"its own time, spaced":  {0, "realm.ticket", "info", with(`"time" : "2001-01-01T00:00:00Z"`), nil, nil},
		"its own time, escaped": {0, "realm.ticket", "info", with(`"\u0074ime":"2001-01-01T00:00:00Z"`), nil, nil},
		"its own sequence":      {0, "realm.ticket", "info", with(`"sequence":1`), nil, nil},
		"its own version":       {0, "realm.ticket", "info", with(`"version":1`), nil, nil},
		"a log of the server's": {-1, "realm.ticket", "info", []byte(body), nil, nil},
		"no salt":               {0, "realm.ticket", "info", []byte(body), nil, []byte("{}")},
		"a short salt":          {0, "realm.ticket", "info", []byte(body), []byte("s"), []byte("{}")},
		"no commitment":         {0, "realm.ticket", "info", []byte(body), salt, []byte("{}")},
		"no personal data":      {0, "realm.ticket", "info", with(`"personal":"AAAA"`), nil, nil},
		"too large":             {0, "realm.ticket", "info", with(`"z":"` + strings.Repeat("z", 1<<16) + `"`), nil, nil},
	} {
		if _, err := d.Pool().Exec(t.Context(), call, args...); err == nil || !strings.Contains(err.Error(), "SQLSTATE 22") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Pool().Exec(t.Context(), call, 0, "realm.ticket", "info", []byte(body), nil, nil); err != nil {
		t.Error(err) // whose before has a time is an entry all the same
	}
	var n int
	if err := d.Pool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM audit_entry) + (SELECT count(*) FROM audit_queue)`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}
