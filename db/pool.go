// Package db keeps what Bulkhead must not lose in PostgreSQL, behind the interfaces that its users declare, one file per object.
//
// It promises that every statement has a deadline, that parameters never become SQL text (the simple protocol is not
// used), that every error has a kind and no caller reads the database's own words, and that a database which a newer
// version has changed is not touched.
package db

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/db/pgerr"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Schema is where the platform's own tables are.
const Schema = "bulkhead"

// Limits of every session of the pool. A session that must run longer says so with SET LOCAL.
const (
	connectTimeout   = 5 * time.Second
	statementTimeout = 30 * time.Second
	lockTimeout      = 10 * time.Second
	idleInTxTimeout  = 60 * time.Second
	defaultConns     = 16
)

// DB is a pool of connections to the platform's database. Make one with Open.
type DB struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// Option changes what Open does by default.
type Option func(*settings)

type settings struct {
	application string
	maxConns    int32
	log         *slog.Logger
	tracer      pgx.QueryTracer
}

// WithApplicationName tells the server who is connected; default bulkhead.
func WithApplicationName(name string) Option { return func(s *settings) { s.application = name } }

// WithMaxConns limits the pool; default 16.
func WithMaxConns(n int) Option { return func(s *settings) { s.maxConns = int32(n) } }

// WithLogger says where to log; default slog.Default().
func WithLogger(log *slog.Logger) Option { return func(s *settings) { s.log = log } }

// WithTracer has a tracer see every statement, those of db/provision too.
func WithTracer(t pgx.QueryTracer) Option { return func(s *settings) { s.tracer = t } }

// Open connects to the platform's database and proves that it answers. The url has a password: errors do not repeat it.
func Open(ctx context.Context, url string, options ...Option) (*DB, error) {
	s := settings{application: "bulkhead", maxConns: defaultConns, log: slog.Default()}
	for _, o := range options {
		o(&s)
	}
	config, err := poolConfig(url, s)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, Error("db: open", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, Error("db: open", err)
	}
	return &DB{pool: pool, log: s.log}, nil
}

func poolConfig(url string, s settings) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The cause may quote the url, so it is left out.
		return nil, errs.E(wire.Invalid, "the database URL is not valid: want postgres://USER:PASSWORD@HOST/DATABASE")
	}
	config.MaxConns = s.maxConns
	config.MaxConnIdleTime = 5 * time.Minute
	config.MaxConnLifetime = 30 * time.Minute
	config.MaxConnLifetimeJitter = 3 * time.Minute
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.Tracer = s.tracer
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	for key, value := range map[string]string{
		"application_name":                    s.application,
		"search_path":                         Schema + ", pg_temp",
		"timezone":                            "UTC",
		"statement_timeout":                   milliseconds(statementTimeout),
		"lock_timeout":                        milliseconds(lockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleInTxTimeout),
	} {
		config.ConnConfig.RuntimeParams[key] = value
	}
	return config, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Close waits until every connection is given back and closes them.
func (d *DB) Close() { d.pool.Close() }

// Pool gives the connections to those who speak SQL themselves: db/provision and tests.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// Ping proves that the database answers; readiness asks it.
func (d *DB) Ping(ctx context.Context) error { return Error("db: ping", d.pool.Ping(ctx)) }

// InTx runs do in one transaction: it commits when do returns nil and leaves nothing behind otherwise, also when do panics
// or ctx ends.
func (d *DB) InTx(ctx context.Context, do func(tx pgx.Tx) error) error {
	return Error("db: transaction", pgx.BeginFunc(ctx, d.pool, do))
}

// Error gives what pgx returned a kind and a text for the caller, and adds the operation. Error(op, nil) is nil.
func Error(op string, err error) error { return pgerr.Wrap(op, err, meanings) }
