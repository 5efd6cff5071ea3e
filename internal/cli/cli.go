// Package cli is the command line of `bulkhead`.
//
// It promises that data goes to stdout and talk to stderr, that every command takes -o json with the API's own schema, but
// those that give out what a device says, that an error says what, why and what to type next, and that the exit code tells
// the kind of failure (see Exit codes in docs/cli.md).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bulkhead/backend/account/password/apart"
	"bulkhead/internal/errs"
	"bulkhead/internal/lines"
	"bulkhead/wire"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// exitUsage is the exit code of a command line that cannot be understood.
const exitUsage = 2

// invocation is what all commands of one run share.
type invocation struct {
	Streams
	environ []string
	output  string
	target  target
	log     *lines.Writer // nil until something is logged as JSON
}

// Main runs one command line, without the program's name, and returns its exit code.
func Main(args, environ []string, streams Streams) int {
	if slices.Equal(args, []string{apart.Command}) { // no command for people
		return apart.Main(streams.In, streams.Out)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	inv := &invocation{Streams: streams, environ: environ}
	root := inv.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	inv.flushLog()
	if err == nil {
		return 0
	}
	return inv.fail(ctx, err)
}

// fail tells the user what went wrong and gives the exit code.
func (inv *invocation) fail(ctx context.Context, err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(inv.Err, "bulkhead: %v\n", usage)
		return exitUsage
	}
	if failed := new(verificationError); errors.As(err, &failed) {
		fmt.Fprintf(inv.Err, "bulkhead: %s\n", tame(failed.Error()))
		return exitVerification
	}
	if ctx.Err() != nil && errs.KindOf(err) == wire.Canceled {
		fmt.Fprintln(inv.Err, "bulkhead: interrupted")
		return errs.Of(wire.Canceled).Exit
	}
	var known *errs.Error
	if errors.As(err, &known) {
		fmt.Fprintf(inv.Err, "bulkhead: %s\n", tame(errs.UserText(err))) // a device's app may have worded it
	} else {
		fmt.Fprintf(inv.Err, "bulkhead: %s\n", tame(err.Error()))
	}
	if file := new(fs.PathError); known != nil && known.Err != nil && (known.Kind != wire.Invalid || errors.As(known.Err, &file)) {
		fmt.Fprintf(inv.Err, "  because: %s\n", tame(known.Err.Error()))
	}
	return errs.Of(errs.KindOf(err)).Exit
}

func (inv *invocation) root() *cobra.Command {
	root := group("bulkhead", "A WAMP router whose compartments do not leak, its backend, and their command line")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(inv.In)
	root.SetOut(inv.Out)
	root.SetErr(inv.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%v", err) })
	flags := root.PersistentFlags()
	flags.StringVarP(&inv.output, "output", "o", "table", "form of the output: table, json or yaml")
	inv.target.flags(flags)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		switch inv.output {
		case "table", "json", "yaml":
			return nil
		default:
			return usage(c, "-o %s: want table, json or yaml", inv.output)
		}
	}
	root.AddCommand(
		inv.devCommand(), inv.serveCommand(), inv.configCommand(), inv.versionCommand(), inv.doctorCommand(), inv.contextCommand(), inv.loginCommand(), inv.logoutCommand(), inv.whoamiCommand(),
		inv.projectCommand(), inv.appCommand(), inv.deviceCommand(), inv.realmCommand(), inv.sessionCommand(), inv.apikeyCommand(), inv.privilegeCommand(), inv.groupCommand(), inv.memberCommand(), inv.providerCommand(), inv.userCommand(), inv.serviceAccountCommand(), inv.keysCommand(),
		inv.tunnelCommand(), inv.sshCommand(), inv.recordingCommand(), inv.callCommand(), inv.publishCommand(), inv.subscribeCommand(), inv.historyCommand(), inv.dbCommand(), inv.auditCommand(),
	)
	return root
}

// usageError is a command line that cannot be understood.
type usageError struct {
	text string
	path string
}

func (e *usageError) Error() string { return e.text + "\nTry: " + e.path + " --help" }

func usage(c *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), c.CommandPath()}
}

// arguments checks the number of a command's arguments and names what is wanted.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return usage(c, "want: %s", c.UseLine())
		}
		return nil
	}
}

// group is a noun whose verbs are commands of their own.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(c, "%s has no command %q%s", c.CommandPath(), args[0], meant(c, args[0]))
		}
		return c.Help()
	}
	c.AddCommand(verbs...)
	return c
}

// meant is which command was meant, where one is alike.
func meant(c *cobra.Command, typed string) string {
	alike := c.SuggestionsFor(typed)
	for i, name := range alike {
		alike[i] = c.CommandPath() + " " + name
	}
	if len(alike) == 0 {
		return ""
	}
	return "; is it: " + strings.Join(alike, ", or: ")
}
