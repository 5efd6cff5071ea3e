// Package agentcli is the command line of `bulkhead-agent`.
//
// It promises what the command line of `bulkhead` promises (data on stdout, talk on stderr, -o json, the same exit codes),
// without the libraries that a device has no need of.
package agentcli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Streams are where a command writes.
type Streams struct{ Out, Err io.Writer }

const usage = `bulkhead-agent keeps a device in the realms of its project. It dials out and opens no port.

Usage:
  bulkhead-agent run --flash-file FILE [--state-dir DIR] [--policy-file FILE] [--log-level debug|info|warn|error]
  bulkhead-agent status [--state-dir DIR] [-o table|json]
  bulkhead-agent policy check [--policy-file FILE] [--to HOST:PORT|shell] [-o table|json]
  bulkhead-agent version [-o table|json]

Exit codes: 0 ok, 1 failure, 2 usage or a bad flash file, 3 not found, 4 denied, 5 conflict, 6 unavailable.
`

// command is one parsed command line.
type command struct {
	Streams
	environ func(string) string
	flags   *flag.FlagSet
	output  string
}

// Main runs one command line, without the program's name, and returns its exit code.
func Main(args []string, environ func(string) string, streams Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	c := &command{Streams: streams, environ: environ}
	return c.exit(c.run(ctx, args))
}

// errUsage is a command line that cannot be understood; what is wrong with it was said.
var errUsage = errors.New("usage")

func (c *command) run(ctx context.Context, args []string) error {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	commands := map[string]func(context.Context, []string) error{"run": c.runAgent, "status": c.status, "policy": c.policy, "version": c.version}
	if run, ok := commands[name]; ok {
		return run(ctx, args)
	}
	if help := strings.TrimLeft(name, "-"); help == "help" || help == "h" {
		fmt.Fprint(c.Out, usage)
		return nil
	}
	fmt.Fprintf(c.Err, "bulkhead-agent: there is no command %q\n\n%s", name, usage)
	return errUsage
}

// exit tells the user what went wrong and gives the exit code.
func (c *command) exit(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, flag.ErrHelp):
		return 0
	}
	fmt.Fprintf(c.Err, "bulkhead-agent: %s\n", errs.UserText(err))
	return errs.Of(errs.KindOf(err)).Exit
}

// parse reads the flags of a command; there is nothing beside flags.
func (c *command) parse(name string, args []string, define func(*flag.FlagSet)) error {
	c.flags = flag.NewFlagSet("bulkhead-agent "+name, flag.ContinueOnError)
	c.flags.SetOutput(c.Err)
	define(c.flags)
	if err := c.flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage // flag has said why
	}
	if c.flags.NArg() > 0 {
		fmt.Fprintf(c.Err, "bulkhead-agent %s: %q is too much\n", name, c.flags.Arg(0))
		return errUsage
	}
	if c.output != "" && c.output != "table" && c.output != "json" {
		fmt.Fprintf(c.Err, "bulkhead-agent %s: -o %s: want table or json\n", name, c.output)
		return errUsage
	}
	return nil
}

func (c *command) outputFlag(f *flag.FlagSet) {
	f.StringVar(&c.output, "o", "table", "`format`: table or json")
}

func (c *command) stateFlag(f *flag.FlagSet) *string {
	return f.String("state-dir", defaultStateDir(c.environ), "`folder` for what the agent remembers")
}

func (c *command) print(v any, table func(io.Writer)) error {
	if c.output != "json" {
		table(c.Out)
		return nil
	}
	enc := json.NewEncoder(c.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// versionOf is what `version` says.
type versionOf struct {
	Version  string `json:"version"`
	Contract int    `json:"contract"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// programVersion is the version that the build recorded; "devel" for a build from a work tree.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func (c *command) version(_ context.Context, args []string) error {
	if err := c.parse("version", args, c.outputFlag); err != nil {
		return err
	}
	v := versionOf{programVersion(), wire.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	return c.print(v, func(w io.Writer) {
		fmt.Fprintf(w, "bulkhead-agent  %s\ncontract        %d\ngo              %s\nplatform        %s\n", v.Version, v.Contract, v.Go, v.Platform)
	})
}
