package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/internal/config"
	"bulkhead/internal/dev"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func (inv *invocation) devCommand() *cobra.Command {
	var o dev.Options
	var readyFile string
	var exitWhenReady, verbose bool
	c := &cobra.Command{
		Use:   "dev",
		Short: "Start a database, the server and two agents on this machine",
		Args:  arguments(0, 0),
	}
	c.PersistentFlags().StringVar(&o.Dir, "dir", "./.bulkhead-dev", "state directory, which has all that it keeps")
	flags := c.Flags()
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:8443", "address of the server; port 0 takes a free one")
	flags.StringVar(&o.OpsListen, "ops-listen", "127.0.0.1:9443", "address of health and metrics; a free port where --listen has port 0")
	flags.StringVar(&readyFile, "ready-file", "", "write this file when everything answers and the first rows are stored")
	flags.StringVar(&o.DatabaseURL, "database-url", "", "use this PostgreSQL server in place of a private one")
	flags.BoolVar(&exitWhenReady, "exit-when-ready", false, "stop when everything answers and the first rows are stored")
	flags.BoolVarP(&verbose, "verbose", "v", false, "show the server's log")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if strings.HasSuffix(o.Listen, ":0") && !c.Flags().Changed("ops-listen") {
			o.OpsListen = "127.0.0.1:0"
		}
		level := config.Log{Level: "warn", Format: "auto"}
		if verbose {
			level.Level = "info"
		}
		o.Log, o.Version, o.Hasher = inv.logger(level), programVersion().Version, hasher()
		return inv.dev(c.Context(), o, readyFile, exitWhenReady)
	}
	reset := &cobra.Command{Use: "reset", Short: "Forget everything in the state directory", Args: arguments(0, 0)}
	reset.RunE = func(c *cobra.Command, _ []string) error {
		if err := dev.Reset(c.Context(), o.Dir, inv.logger(config.Log{Level: "warn", Format: "auto"})); err != nil {
			return err
		}
		return inv.forgetDev(o.Dir)
	}
	c.AddCommand(reset, inv.devCode(&o.Dir))
	return c
}

// dev writes the ready file last: who waits for it may use the context and read what was printed.
func (inv *invocation) dev(ctx context.Context, o dev.Options, readyFile string, exitWhenReady bool) error {
	running, err := dev.Start(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return errs.As(wire.Canceled, err, "interrupted")
		}
		return err
	}
	defer running.Stop()
	ready := running.Ready()
	inv.greet(ready, running.Dir(), inv.rememberDev(ready, running.Dir()))
	if readyFile != "" {
		if err := ready.Write(readyFile); err != nil {
			return err
		}
	}
	if exitWhenReady {
		return nil
	}
	<-ctx.Done()
	fmt.Fprintln(inv.Err, "\nstopping; the next start goes on where this one stops")
	return nil
}

// greet prints where everything is and what to try: at most 12 lines.
func (inv *invocation) greet(r dev.Ready, dir, flags string) {
	project := r.Projects[0]
	installation, device := project.Installations[0], project.Devices[0]
	realm := project.Name + "/" + installation.App + "@" + string(installation.Stage)
	me, owner := program()+flags, r.Users[0]
	for _, line := range []string{
		"Bulkhead is ready.",
		"  API      " + r.API + "/api/v1   (description: /api/v1/openapi.json, health and metrics: " + r.Ops + ")",
		"  router   " + r.Router + "   (trust: " + r.CAFile + ")",
		"  log in   " + r.API + "/login (Continue with " + dev.ProviderTitle + "), or: " + me + " login; as " + owner.Name + " or " + r.Users[1].Name + ", password in " + owner.PasswordFile,
		"           codes: " + program() + " dev code " + owner.Name + " --dir " + dir + "   (API key of the server's owner: " + r.OwnerAPIKeyFile + ")",
		"Two agents publish this machine's metrics, each into its own project. In another terminal, try:",
		"  " + me + " history " + realm + " " + installation.Table + " --limit 5",
		"  " + me + " subscribe " + realm + " transformed. --match prefix --limit 3",
		"  " + me + " call " + project.DeviceRealm + " " + wire.AgentFunction(project.Key, device.Key, wire.FunctionInfo),
		"  " + me + " device list --project " + project.Name,
		"and, for a web page beside a device in the browser: " + me + " tunnel open " + project.Name + "/" + device.Name + " --to " + r.SamplePage,
		"Ctrl-C stops all of it and loses nothing.",
	} {
		fmt.Fprintln(inv.Out, line)
	}
}

// program is how this program was started.
func program() string {
	if self, err := os.Executable(); err == nil && strings.Contains(self, string(os.PathSeparator)+"go-build") {
		return "go run ./cmd/bulkhead"
	}
	return "bulkhead"
}
