package provision_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// killer lets so many changes become permanent; then nothing reaches the server any more, as if the process had died.
// What a transaction does before it commits leaves nothing, wherever it is cut, so commits count and what is in them does not.
type killer struct {
	mu   sync.Mutex // guards what follows
	on   bool
	left int
	last string // the statement that did not run
}

func (k *killer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.on {
		return ctx
	}
	permanent := data.SQL == "commit" || conn.PgConn().TxStatus() == 'I' && data.SQL != "begin" && !strings.HasPrefix(strings.TrimSpace(data.SQL), "SELECT")
	if k.left > 0 && permanent {
		k.left--
		return ctx
	}
	if k.left > 0 || !permanent && k.last == "" {
		return ctx
	}
	if k.last == "" {
		k.last = data.SQL
	}
	dead, cancel := context.WithCancel(ctx)
	cancel()
	return dead
}

func (k *killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// after runs do and kills it after n statements. It reports whether do was killed.
func (k *killer) after(n int, do func() error) (killed bool, err error) {
	k.mu.Lock()
	k.on, k.left, k.last = true, n, ""
	k.mu.Unlock()
	err = do()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on = false
	return k.last != "", err
}

// victim is a Provisioner that can be killed, and all that is on the server when nothing is provisioned.
type victim struct {
	*killer
	p      *provision.Provisioner
	super  *pgx.Conn
	driver databackend.Driver
	realm  realms.Realm
}

func newVictim(t *testing.T, driver databackend.Driver) *victim {
	t.Helper()
	k := &killer{}
	d := dbtest.New(t, db.WithTracer(k))
	v := &victim{killer: k, p: dbtest.NewProvisioner(t, d, with(driver)), super: super(t, d, d.Name), driver: driver, realm: installation(11, 22)}
	mustProvision(t, v.p, installation(77, 88)) // so that the template and the shared database are there
	return v
}

// named lists what exists on the server under a name that the journal has no row for, of the names seen.
func (v *victim) orphans(t *testing.T, seen map[string]bool) []string {
	t.Helper()
	rows, err := v.super.Query(t.Context(), "SELECT schema_name FROM bulkhead.placement UNION SELECT name FROM bulkhead.placement_database")
	if err != nil {
		t.Fatal(err)
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range known {
		delete(seen, name)
	}
	var orphans []string
	for _, thing := range footprint(t, v.super) {
		for name := range seen {
			if strings.Contains(thing, name) {
				orphans = append(orphans, thing)
			}
		}
	}
	for _, name := range known {
		seen[name] = true
	}
	return orphans
}

func TestACrashAtAnyStatementOfProvisionIsRepaired(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		v := newVictim(t, driver)
		seen := map[string]bool{}
		for n := 0; ; n++ {
			killed, err := v.after(n, func() error { _, err := v.p.Provision(t.Context(), v.realm, metrics()); return err })
			if killed == (err == nil) {
				t.Fatalf("after %d changes: killed %t, %v", n, killed, err)
			}
			_, errPlaced := v.p.Placement(t.Context(), v.realm)
			if killed && errs.KindOf(errPlaced) != wire.NotFound {
				t.Errorf("killed before %q: half an installation is told: %v", v.last, errPlaced)
			}
			v.orphans(t, seen)
			if n%2 == 0 {
				mustProvision(t, v.p, v.realm)
			}
			if err := v.p.Deprovision(t.Context(), v.realm); err != nil {
				t.Fatalf("killed before %q: %v", v.last, err)
			}
			if left := v.orphans(t, seen); len(left) > 0 {
				t.Errorf("killed before %q: left %v", v.last, left)
			}
			if !killed {
				t.Logf("%d changes", n)
				return
			}
		}
	})
}

func TestACrashAtAnyStatementOfDeprovisionIsRepaired(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		v := newVictim(t, driver)
		seen := map[string]bool{}
		for n := 0; ; n++ {
			mustProvision(t, v.p, v.realm)
			v.orphans(t, seen)
			killed, err := v.after(n, func() error { return v.p.Deprovision(t.Context(), v.realm) })
			if killed == (err == nil) {
				t.Fatalf("after %d changes: killed %t, %v", n, killed, err)
			}
			if _, err := v.p.Placement(t.Context(), v.realm); n > 0 && errs.KindOf(err) != wire.NotFound {
				t.Errorf("killed before %q: what is being removed is told: %v", v.last, err)
			}
			if err := v.p.Deprovision(t.Context(), v.realm); err != nil {
				t.Fatalf("killed before %q: %v", v.last, err)
			}
			if left := v.orphans(t, seen); len(left) > 0 {
				t.Errorf("killed before %q: left %v", v.last, left)
			}
			if !killed {
				t.Logf("%d changes", n)
				return
			}
		}
	})
}

func TestACrashAtAnyStatementOfUpgradeIsRepaired(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		v := newVictim(t, driver)
		mustProvision(t, v.p, v.realm)
		next := metrics()
		next.Tables = append(next.Tables, databackend.Table{Name: "alarms", Columns: next.Tables[0].Columns})
		for n := 0; ; n++ {
			killed, err := v.after(n, func() error { _, err := v.p.Upgrade(t.Context(), v.realm, next); return err })
			if killed == (err == nil) {
				t.Fatalf("after %d changes: killed %t, %v", n, killed, err)
			}
			placed, err := v.p.Placement(t.Context(), v.realm)
			if err != nil || killed != (placed.Template == 1) {
				t.Errorf("killed before %q: %+v %v", v.last, placed, err)
			}
			if !killed {
				return
			}
		}
	})
}

func TestACrashDuringTheFirstSetUpIsRepaired(t *testing.T) {
	t.Parallel()
	k := &killer{}
	d := dbtest.New(t, db.WithTracer(k))
	for n := 0; ; n++ {
		killed, err := k.after(n, func() error {
			p, err := provision.New(t.Context(), provision.Config{DB: d.DB, Keys: dbtest.Keys(t)})
			if err != nil {
				return err
			}
			defer p.Close()
			_, err = p.Provision(t.Context(), installation(11, 22), metrics())
			return err
		})
		if killed == (err == nil) {
			t.Fatalf("after %d changes: killed %t, %v", n, killed, err)
		}
		if !killed {
			break
		}
	}
	p := dbtest.NewProvisioner(t, d)
	if _, err := p.Placement(t.Context(), installation(11, 22)); err != nil {
		t.Error(err)
	}
}
