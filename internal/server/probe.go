package server

import (
	"context"
	"log/slog"
	"os"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/db/cluster"
	"bulkhead/db/provision"
	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// ProbeThrowaway tries, on a private PostgreSQL that is removed afterwards, what a tenant's valid login can learn or do
// beyond its own schema: with each driver.
func ProbeThrowaway(ctx context.Context, log *slog.Logger) ([]provision.ProbeReport, error) {
	dir, err := os.MkdirTemp("", "bulkhead-probe-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c, err := cluster.Start(ctx, cluster.Config{Dir: dir, Logger: log})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Stop(context.WithoutCancel(ctx)) }() // it is removed anyway
	keys, err := secret.NewKeyring(make([]byte, 32))          // what it seals is removed with the directory
	if err != nil {
		return nil, err
	}
	var reports []provision.ProbeReport
	for _, driver := range []databackend.Driver{databackend.DriverDatabase, databackend.DriverSchema} {
		report, err := probe(ctx, secret.FromString(c.URL()), keys, driver, log)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// ProbeConfigured is ProbeThrowaway on the database server that a configuration names, with its driver. It makes two
// projects there and removes them.
func ProbeConfigured(ctx context.Context, c config.Config, log *slog.Logger) ([]provision.ProbeReport, error) {
	if c.Database.URLFile == "" {
		return nil, errs.E(wire.Invalid, "database.url_file is not set: without -c a private server of the same kind is probed")
	}
	s := &Server{options: Options{Config: c}}
	url, err := s.databaseURL(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := secret.LoadKeyring(s.file("secrets.key"))
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "the key file of stored secrets cannot be used: run this where the server runs")
	}
	report, err := probe(ctx, url, keys, drivers[c.Database.Driver], log)
	return []provision.ProbeReport{report}, err
}

func probe(ctx context.Context, url secret.Value, keys *secret.Keyring, driver databackend.Driver, log *slog.Logger) (provision.ProbeReport, error) {
	d, err := db.Open(ctx, string(url.Reveal()), db.WithLogger(log))
	if err != nil {
		return provision.ProbeReport{}, err
	}
	defer d.Close()
	if err := d.Migrate(ctx); err != nil {
		return provision.ProbeReport{}, err
	}
	p, err := provision.New(ctx, provision.Config{DB: d, Keys: keys, Driver: driver, Logger: log})
	if err != nil {
		return provision.ProbeReport{}, err
	}
	defer p.Close()
	return p.Probe(ctx)
}
