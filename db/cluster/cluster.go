// Package cluster runs a private PostgreSQL from the system's binaries, for those who have no server of their own.
//
// It promises that the server is reached through a unix socket by its owner and root only, that everything it keeps is
// below one directory which stays closed to others, that a commit which was acknowledged survives any crash, that a
// server which dies is started again, and that none is left behind: not by Stop, not by a crash of this process.
package cluster

import (
	"context"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/secret"
)

// User is the superuser and Database the first database of a private cluster.
const (
	User     = "bulkhead"
	Database = "bulkhead"
)

// port is part of the socket's file name and nothing else: no port is opened.
const port = "5432"

// startTimeout is how long a server may take to recover from a crash and answer.
const startTimeout = 60 * time.Second

// Config says where a cluster lives.
type Config struct {
	// Dir has all of it: data, socket, password. It is made when it does not exist, mode 0700.
	Dir string
	// Logger gets the server's messages too; default slog.Default().
	Logger *slog.Logger
	// BinDirs replaces the search for PostgreSQL's binaries.
	BinDirs []string
	// Settings adds to or replaces the server's settings.
	Settings map[string]string
}

// Cluster is a server that runs. Make one with Start.
type Cluster struct {
	layout   layout
	binaries binaries
	settings map[string]string
	log      *slog.Logger
	password secret.Value
	group    *lifecycle.Group

	mu      sync.Mutex // guards server
	server  *server
	stopped sync.Once
}

// Start makes the cluster in its directory if there is none, starts it and waits until it answers. What an earlier
// process left behind is stopped or repaired first. The context bounds the start, not the life, of the cluster.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	l, err := openLayout(config.Dir)
	if err != nil {
		return nil, errs.Wrap("cluster: start", err)
	}
	c := &Cluster{layout: l, log: config.Logger, group: lifecycle.NewGroup(context.WithoutCancel(ctx))}
	if c.log == nil {
		c.log = slog.Default()
	}
	if err := c.start(ctx, config); err != nil {
		c.group.Stop()
		l.close()
		return nil, errs.Wrap("cluster: start", err)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, config Config) (err error) {
	if err := stopLeftover(ctx, c.layout, c.log); err != nil {
		return err
	}
	if c.binaries, err = choose(config.BinDirs, c.layout.data()); err != nil {
		return err
	}
	c.settings = settings(c.binaries, config.Settings)
	c.settings["cluster_name"] = clusterName(c.layout.data())
	if c.password, err = c.layout.password(); err != nil {
		return err
	}
	if err := c.layout.makeRun(); err != nil {
		return err
	}
	if err := initialize(ctx, c.layout, c.binaries, c.password); err != nil {
		return err
	}
	if err := c.launch(ctx); err != nil {
		return err
	}
	if err := ensureDatabase(ctx, c.url("postgres")); err != nil {
		_ = c.current().stop(ctx)
		return err
	}
	c.group.Go(c.supervise)
	return nil
}

// URL is how the superuser connects, for pgx and psql; it has the password.
func (c *Cluster) URL() string { return c.url(Database) }

func (c *Cluster) url(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(User, string(c.password.Reveal())), Path: "/" + database,
		RawQuery: url.Values{"host": {c.layout.run()}, "port": {port}}.Encode(),
	}
	return u.String()
}

// PID is the server's process id; it changes when the server died and was started again.
func (c *Cluster) PID() int { return c.current().pid() }

// Version is the server's major version.
func (c *Cluster) Version() int { return c.binaries.major }

func (c *Cluster) current() *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// Stop ends sessions, writes a checkpoint and waits until the server is gone. When ctx ends first, the server is stopped
// at once and repairs itself at its next start. Stopping twice is fine.
func (c *Cluster) Stop(ctx context.Context) error {
	var err error
	c.stopped.Do(func() {
		c.group.Stop() // nobody starts the server again from here on
		err = c.current().stop(ctx)
		c.layout.removeRun()
		c.layout.close()
	})
	return errs.Wrap("cluster: stop", err)
}

// Destroy stops what runs in dir and removes all of it. A directory that does not exist is fine; one that another process
// uses is refused.
func Destroy(ctx context.Context, dir string, log *slog.Logger) error {
	if log == nil {
		log = slog.Default()
	}
	l, err := openExisting(dir)
	if err != nil || l.dir == "" {
		return errs.Wrap("cluster: destroy", err)
	}
	defer l.close()
	if err := stopLeftover(ctx, l, log); err != nil {
		return errs.Wrap("cluster: destroy", err)
	}
	l.removeRun()
	return errs.Wrap("cluster: destroy", l.removeAll())
}
