package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/internal/server"
	"bulkhead/wire"
)

// Version is what `bulkhead version` says.
type Version struct {
	Version  string `json:"version"`
	Contract int    `json:"contract"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// programVersion is the version that the build recorded; "devel" for a build from a work tree.
func programVersion() Version {
	v := Version{Version: "devel", Contract: wire.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if released := info.Main.Version; released != "" && released != "(devel)" {
		v.Version = released
	}
	return v
}

func (inv *invocation) versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version", Args: arguments(0, 0)}
	c.RunE = func(*cobra.Command, []string) error {
		v := programVersion()
		return inv.print(v, func() table {
			return table{rows: [][]string{{"bulkhead", v.Version}, {"contract", fmt.Sprint(v.Contract)}, {"go", v.Go}, {"platform", v.Platform}}}
		})
	}
	return c
}

func (inv *invocation) configCommand() *cobra.Command {
	var file string
	check := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration and print the values that the server would use",
		Args:  arguments(0, 0),
	}
	check.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	check.RunE = func(c *cobra.Command, _ []string) error {
		if file == "" {
			return usage(c, "-c FILE is missing")
		}
		loaded, err := config.Load(file, inv.environ)
		if err != nil {
			return err
		}
		if inv.output == "json" {
			return writeJSON(inv.Out, plainConfig(loaded))
		}
		encoder := yaml.NewEncoder(inv.Out)
		encoder.SetIndent(2)
		return encoder.Encode(loaded)
	}
	return group("config", "The server's configuration", check)
}

// plainConfig gives the configuration by the keys of its file.
func plainConfig(c config.Config) any {
	encoded, err := yaml.Marshal(c)
	if err != nil {
		return c
	}
	var plain map[string]any
	if err := yaml.Unmarshal(encoded, &plain); err != nil {
		return c
	}
	return plain
}

func (inv *invocation) serveCommand() *cobra.Command {
	var file string
	var roles []string
	c := &cobra.Command{
		Use:     "serve -c FILE",
		Short:   "Run the server",
		Example: "  bulkhead serve -c configs/bulkhead.yaml",
		Args:    arguments(0, 0),
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.Flags().StringSliceVar(&roles, "roles", []string{"router", "backend"}, "parts to run; this version runs router and backend together")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if file == "" {
			return usage(c, "-c FILE is missing; configs/bulkhead.yaml is an example")
		}
		if err := checkRoles(c, roles); err != nil {
			return err
		}
		loaded, err := config.Load(file, inv.environ)
		if err != nil {
			return err
		}
		running, err := server.Start(c.Context(), server.Options{Config: loaded, Hasher: hasher(), Log: inv.logger(loaded.Log), Version: programVersion().Version})
		if err != nil {
			return err
		}
		fmt.Fprintf(inv.Err, "bulkhead serves %s; health and metrics are at %s\n", running.API(), running.Ops())
		return running.Wait(c.Context())
	}
	return c
}

// checkRoles refuses what this version cannot run rather than running something else.
func checkRoles(c *cobra.Command, roles []string) error {
	have := map[string]bool{}
	for _, r := range roles {
		switch r {
		case "router", "backend":
			have[r] = true
		case "gateway":
			return usage(c, "--roles gateway: the gateway of tunnels runs with the router: leave it out")
		default:
			return usage(c, "--roles %s: want router,backend", r)
		}
	}
	if !have["router"] || !have["backend"] {
		return usage(c, "--roles %s: this version runs router and backend in one process only", strings.Join(roles, ","))
	}
	return nil
}

func (inv *invocation) doctorCommand() *cobra.Command {
	c := &cobra.Command{Use: "doctor", Short: "Say what this machine lacks to run the server", Args: arguments(0, 0)}
	c.RunE = func(*cobra.Command, []string) error {
		findings := server.Diagnose()
		err := inv.print(findings, func() table {
			t := table{head: []string{"CHECK", "STATE", "WHAT"}}
			for _, f := range findings {
				t.add(f.Check, f.State(), f.Detail)
			}
			return t
		})
		if err != nil {
			return err
		}
		for _, f := range findings {
			if !f.OK {
				return errs.E(wire.Unavailable, "this machine is not ready: see %s above", f.Check)
			}
		}
		return nil
	}
	return c
}
