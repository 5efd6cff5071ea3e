// Package dev is `bulkhead dev`: a database, the server and two agents on one machine, from nothing.
//
// It promises that all of it is in one directory and on loopback, that one Ctrl-C stops all of it and loses nothing, that
// a start which was cut off is completed by the next, and that what Start returns answers and has stored first rows.
package dev

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"bulkhead/db/cluster"
	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/internal/server"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Options are the flags of `bulkhead dev`.
type Options struct {
	Dir         string // state; made with mode 0700
	Listen      string // port 0 takes a free one
	OpsListen   string
	DatabaseURL string // in place of a private server
	Version     string
	Hasher      []string // see server.Options
	Log         *slog.Logger
}

// stopWithin bounds the stop of each part.
const stopWithin = 15 * time.Second

// Dev is everything that runs. Make one with Start and Stop it.
type Dev struct {
	options  Options
	folder   *folder
	postgres *cluster.Cluster // nil with a database URL
	server   *server.Server
	people   *people
	page     *samplePage
	agents   []*agentProcess
	ready    Ready
}

// Start starts everything and returns when it answers and the first rows of each agent are stored.
func Start(ctx context.Context, o Options) (*Dev, error) {
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &Dev{options: o, folder: f}
	if err := d.start(ctx); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

func (d *Dev) start(ctx context.Context) error {
	url, err := d.startDatabase(ctx)
	if err != nil {
		return err
	}
	if err := d.startServer(ctx, url); err != nil {
		return err
	}
	if err := d.seed(ctx); err != nil {
		return err
	}
	if err := d.startAgents(ctx); err != nil {
		return err
	}
	return d.awaitRows(ctx)
}

// Ready tells where everything is.
func (d *Dev) Ready() Ready { return d.ready }

// Dir is the state directory, as an absolute path.
func (d *Dev) Dir() string { return d.folder.path }

// Stop stops everything in the order in which nothing is lost: who sends, who stores, where it is stored.
func (d *Dev) Stop() {
	for _, a := range d.agents {
		a.stop()
	}
	if d.page != nil {
		d.page.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*stopWithin)
	defer cancel()
	if d.server != nil {
		d.complain("server", d.server.Stop(ctx))
	}
	if d.postgres != nil {
		d.complain("database", d.postgres.Stop(ctx))
	}
	d.folder.close()
}

func (d *Dev) complain(part string, err error) {
	if err != nil {
		d.options.Log.Warn(part+" did not stop cleanly; the next start repairs it", logkey.Error, err)
	}
}

func (d *Dev) startDatabase(ctx context.Context) (url string, err error) {
	if d.options.DatabaseURL != "" {
		return d.options.DatabaseURL, nil
	}
	d.postgres, err = cluster.Start(ctx, cluster.Config{Dir: d.folder.file("postgres"), Logger: d.options.Log})
	if err != nil {
		return "", err
	}
	return d.postgres.URL(), nil
}

func (d *Dev) startServer(ctx context.Context, url string) (err error) {
	samples, err := d.folder.dir(samplesFolder)
	if err != nil {
		return err
	}
	if d.people, err = newPeople(samples); err != nil {
		return err
	}
	c := config.Default()
	c.Listen, c.OpsListen, c.StateDir = d.options.Listen, d.options.OpsListen, d.folder.file("server")
	c.Gateway.HTTPDomain = "tunnel.localhost" // browsers look for it on this machine
	c.Database.Driver = config.DriverSchema   // one URL shows both projects
	d.server, err = server.Start(ctx, server.Options{
		Config: c, DatabaseURL: secret.FromString(url), Log: d.options.Log, Version: d.options.Version, Hasher: d.options.Hasher,
		Mount: d.people.mount,
	})
	return err
}

func (d *Dev) seed(ctx context.Context) error {
	dir, err := d.folder.dir(samplesFolder)
	if err != nil {
		return err
	}
	s := seeder{assets: d.server.Assets(), dir: dir, tables: d.server.Describe}
	projects, err := s.seed(ctx)
	if err != nil {
		return err
	}
	users, err := d.people.seed(ctx, d.server)
	if err != nil {
		return err
	}
	if err := d.people.assignRoles(ctx, d.server, projects); err != nil {
		return err
	}
	first := projects[0]
	url, err := d.server.Database(ctx, realms.OfInstallation(first.Key, first.Installations[0].AppKey, wire.Prod))
	if err != nil {
		return err
	}
	d.ready = Ready{
		API: d.server.API(), Router: d.server.Router(), AgentRouter: d.server.AgentRouter(), Ops: d.server.Ops(),
		CAFile: d.server.CAFile(), OwnerAPIKeyFile: d.server.OwnerKeyFile(), DatabaseURL: url,
		PIDs: PIDs{Server: os.Getpid()}, Projects: projects, OIDC: ReadyOIDC{Issuer: d.people.issuer}, Users: users,
	}
	if d.postgres != nil {
		d.ready.PIDs.Postgres = d.postgres.PID()
	}
	if d.page, err = startPage(d.options.Log); err == nil {
		d.ready.SamplePage = d.page.url
	}
	return err
}

func (d *Dev) startAgents(ctx context.Context) error {
	binary, err := agentBinary(ctx, d.folder.path)
	if err != nil {
		return err
	}
	policy, err := d.agentPolicy(shippedBefore)
	if err != nil {
		return err
	}
	d.explainPolicy(policy, d.ready.SamplePage)
	logs, err := d.folder.dir("logs")
	if err != nil {
		return err
	}
	for _, p := range d.ready.Projects {
		for _, device := range p.Devices {
			state, err := d.folder.dir("agent-" + device.Name)
			if err != nil {
				return err
			}
			a, err := startAgent(ctx, binary, device.Name, device.FlashFile, state, policy, filepath.Join(logs, device.Name+".log"), d.options.Log)
			if err != nil {
				return err
			}
			d.agents = append(d.agents, a)
			d.ready.PIDs.Agents = append(d.ready.PIDs.Agents, a.PID())
		}
	}
	return nil
}

// pollRows is how often the database is asked for the first rows.
const pollRows = 50 * time.Millisecond

// rowsWithin is how long the agents may take to have a row stored.
const rowsWithin = 30 * time.Second

// awaitRows waits until each sample table has a row that was taken after this start.
func (d *Dev) awaitRows(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, rowsWithin, errs.E(wire.Unavailable,
		"the agents stored no row within %s: see the logs in %s", rowsWithin, d.folder.file("logs")))
	defer cancel()
	since := time.Now()
	tick := time.NewTicker(pollRows)
	defer tick.Stop()
	for _, p := range d.ready.Projects {
		for _, installation := range p.Installations {
			r := realms.OfInstallation(p.Key, installation.AppKey, installation.Stage)
			for {
				stored, err := d.server.StoredSince(ctx, r, installation.Table, since)
				if err != nil && ctx.Err() == nil {
					return err
				}
				if stored {
					break
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
	}
	return nil
}
