package provision_test

import (
	"context"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/db/cluster"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// assassin kills the server, once, before a statement.
type assassin struct {
	mu   sync.Mutex // guards what follows
	left int        // statements until then; negative spares it
	kill func()
}

func (a *assassin) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left == 0 {
		a.kill()
	}
	a.left--
	return ctx
}

func (a *assassin) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (a *assassin) after(statements int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = statements
}

// settle repeats what the database's absence fails.
func settle(t *testing.T, do func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := do()
		if err == nil {
			return
		}
		if errs.KindOf(err) != wire.Unavailable {
			t.Fatalf("not the kind of a database that is away: %v", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// TestAKillOfPostgreSQLWhileItProvisionsIsRepaired runs a durable server of its own.
func TestAKillOfPostgreSQLWhileItProvisionsIsRepaired(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)
	c, err := cluster.Start(t.Context(), cluster.Config{Dir: t.TempDir(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	a := &assassin{left: -1, kill: func() { _ = syscall.Kill(c.PID(), syscall.SIGKILL) }}
	d, err := db.Open(t.Context(), c.URL(), db.WithTracer(a), db.WithLogger(quiet))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := provision.New(t.Context(), provision.Config{DB: d, Keys: dbtest.Keys(t), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	r := installation(11, 22)
	for _, statements := range []int{3, 25, 45} {
		a.after(statements)
		settle(t, func() error { _, err := p.Provision(t.Context(), r, metrics()); return err })
		a.after(-1)
		placed := keepRow(t, p)
		a.kill()
		settle(t, func() error { return findRow(t, p, placed) })
		a.after(statements)
		settle(t, func() error { return p.Deprovision(t.Context(), r) })
		a.after(-1)
	}
}

func keepRow(t *testing.T, p *provision.Provisioner) databackend.Placement {
	t.Helper()
	var placed databackend.Placement
	settle(t, func() error {
		all, err := p.Placements(t.Context())
		if err != nil {
			return err
		}
		placed = all[0]
		pool, err := p.Pool(t.Context(), placed.Database)
		if err != nil {
			return err
		}
		return db.Error("insert", pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+placed.RW); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), "INSERT INTO "+placed.Schema+".metrics (tsp, device_key, seq) VALUES ('2026-01-01', 1, 1) ON CONFLICT DO NOTHING")
			return err
		}))
	})
	return placed
}

func findRow(t *testing.T, p *provision.Provisioner, placed databackend.Placement) error {
	t.Helper()
	pool, err := p.Pool(t.Context(), placed.Database)
	if err != nil {
		return err
	}
	var n int
	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+placed.RO); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), "SELECT count(*) FROM "+placed.Schema+".metrics").Scan(&n)
	})
	if err == nil && n != 1 {
		t.Errorf("%d rows after the kill", n)
	}
	return db.Error("read", err)
}

func TestASessionThatHoldsTheServerTooLongIsEnded(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	p := dbtest.NewProvisioner(t, d)
	r := installation(11, 22)
	mustProvision(t, p, r)
	c, err := p.Credentials(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	idle, fresh := mustLogin(t, d, c.Database, c.RW), mustLogin(t, d, c.Database, c.RO)
	for _, sql := range []string{"SET idle_in_transaction_session_timeout = 0", "BEGIN", "SELECT 1"} {
		if _, err := idle.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.ReapAfter(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := idle.Ping(t.Context()); err != nil {
		t.Errorf("ended within its time: %v", err)
	}
	if err := p.ReapAfter(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := idle.Ping(t.Context()); err == nil {
		t.Error("goes on")
	}
	if err := fresh.Ping(t.Context()); err != nil {
		t.Errorf("an idle session outside a transaction was ended: %v", err)
	}
}

func TestManyInstallationsAtOnce(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		p := dbtest.NewProvisioner(t, dbtest.New(t), with(driver))
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				if _, err := p.Provision(t.Context(), installation(wire.Key(1+i%4), wire.Key(1+i)), metrics()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if placed, err := p.Placements(t.Context()); err != nil || len(placed) != 12 {
			t.Errorf("%d placements, %v", len(placed), err)
		}
		for i := range 12 {
			all.Go(func() {
				if err := p.Deprovision(t.Context(), installation(wire.Key(1+i%4), wire.Key(1+i))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestAServerThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	p := dbtest.NewProvisioner(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Provision(ctx, installation(11, 22), metrics()); errs.KindOf(err) != wire.Canceled {
		t.Errorf("canceled: %v", err)
	}
}

func TestServingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := dbtest.NewProvisioner(t, dbtest.New(t))
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { p.Serve(ctx) })
	cancel()
	serving.Wait()
}
