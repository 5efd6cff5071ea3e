package provision

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of a pool of the ingestor.
const (
	poolConns     = 4  // of a project's own database
	sharedConns   = 12 // of the one that all share
	poolIdle      = time.Minute
	poolLifetime  = 30 * time.Minute
	poolJitter    = 3 * time.Minute
	poolStatement = "60s"
)

// pools has the ingestor's connections, a pool for each database that somebody asked for.
type pools struct {
	mu     sync.Mutex // guards what follows
	open   map[string]*pgxpool.Pool
	closed bool

	closing sync.WaitGroup // pools of databases that went away
}

// Pool gives the ingestor's connections to a placement's database. The ingestor has no right of its own: each transaction
// begins with SET LOCAL ROLE to the placement's RW or RO role, and so reaches that installation and no other. SQL that is
// not ours must never run on these connections. The pool belongs to the Provisioner.
func (p *Provisioner) Pool(ctx context.Context, database string) (*pgxpool.Pool, error) {
	if pool, err := p.pools.find(database); pool != nil || err != nil {
		return pool, err
	}
	var shared bool
	err := p.config.DB.Pool().QueryRow(ctx, "SELECT EXISTS (SELECT FROM bulkhead.placement_database WHERE name = $1 AND purpose = $2)",
		database, purposeShared).Scan(&shared)
	if err != nil {
		return nil, db.Error("provision: pool", err)
	}
	return p.openPool(ctx, database, shared)
}

// find gives a pool that is open; none where it is not.
func (ps *pools) find(database string) (*pgxpool.Pool, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		return nil, errs.E(wire.Unavailable, "the server is stopping")
	}
	return ps.open[database], nil
}

func (p *Provisioner) openPool(ctx context.Context, database string, shared bool) (*pgxpool.Pool, error) {
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	if p.pools.closed {
		return nil, errs.E(wire.Unavailable, "the server is stopping")
	}
	if pool := p.pools.open[database]; pool != nil { // by somebody else meanwhile
		return pool, nil
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), p.poolConfig(database, shared))
	if err != nil {
		return nil, db.Error("provision: pool", err)
	}
	if p.pools.open == nil {
		p.pools.open = map[string]*pgxpool.Pool{}
	}
	p.pools.open[database] = pool
	return pool, nil
}

// poolConfig makes connections one by one as they are needed, each with the ingestor's password of that moment.
func (p *Provisioner) poolConfig(database string, shared bool) *pgxpool.Config {
	config := p.config.DB.Pool().Config().Copy()
	config.MaxConns, config.MinConns, config.MinIdleConns = poolConns, 0, 0
	if shared {
		config.MaxConns = sharedConns
	}
	config.MaxConnIdleTime, config.MaxConnLifetime, config.MaxConnLifetimeJitter = poolIdle, poolLifetime, poolJitter
	config.ConnConfig.Database = database
	config.ConnConfig.RuntimeParams["application_name"] = "bulkhead ingest"
	config.ConnConfig.RuntimeParams["search_path"] = "pg_catalog, pg_temp"
	config.ConnConfig.RuntimeParams["statement_timeout"] = poolStatement
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		role, password, err := p.ingestor(ctx)
		if err != nil {
			return err
		}
		c.User, c.Password = role, string(password.Reveal())
		return nil
	}
	return config
}

// forget closes the pool of a database that goes away.
func (ps *pools) forget(database string) {
	ps.mu.Lock()
	pool := ps.open[database]
	delete(ps.open, database)
	ps.mu.Unlock()
	if pool != nil {
		// Close waits for whoever has a connection; the end of the database, which follows, takes it from them.
		ps.closing.Go(pool.Close)
	}
}

func (ps *pools) close() {
	defer ps.closing.Wait()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.closed = true
	for _, pool := range ps.open {
		pool.Close()
	}
	ps.open = nil
}
