package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/db/provision"
	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/internal/server"
	"bulkhead/wire"
)

func (inv *invocation) dbProbe() *cobra.Command {
	var file string
	var all bool
	c := &cobra.Command{
		Use:   "probe [-c FILE]",
		Short: "Try what a tenant's valid database login can learn or do beyond its own schema",
		Long: "Makes two projects, tries with the login of one what PostgreSQL offers to reach the other or the server, and removes both.\n" +
			"Without -c it does so on a private server that is removed afterwards, with each driver; with -c, on the server that the configuration names.",
		Args: arguments(0, 0),
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.Flags().BoolVar(&all, "all", false, "show closed probes too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		reports, err := inv.probe(c.Context(), file)
		if err != nil {
			return err
		}
		if err := inv.print(reports, func() table { return probeTable(reports, all) }); err != nil {
			return err
		}
		for _, r := range reports {
			if open := r.EssentialOpen(); len(open) > 0 {
				return errs.E(wire.Internal, "%s: a tenant reaches another: %s", r.Driver, open[0].Name)
			}
		}
		return nil
	}
	return c
}

func (inv *invocation) probe(ctx context.Context, file string) ([]provision.ProbeReport, error) {
	log := inv.logger(config.Log{Level: "error", Format: "auto"})
	if file == "" {
		return server.ProbeThrowaway(ctx, log)
	}
	loaded, err := config.Load(file, inv.environ)
	if err != nil {
		return nil, err
	}
	return server.ProbeConfigured(ctx, loaded, log)
}

func probeTable(reports []provision.ProbeReport, all bool) table {
	t := table{head: []string{"DRIVER", "PROBE", "STATE", "WHAT WAS SEEN"}}
	for _, r := range reports {
		for _, p := range r.Results {
			state := "closed"
			if p.Open {
				state = "open"
			}
			if p.Open || all {
				t.add(string(r.Driver), p.Name, state, strings.ReplaceAll(p.Detail, "\n", " "))
			}
		}
		t.add(string(r.Driver), "", fmt.Sprintf("%d of %d", r.Open(), len(r.Results)), "open, on PostgreSQL "+r.Server)
	}
	return t
}
