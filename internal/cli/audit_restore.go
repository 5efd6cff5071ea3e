package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/backend/audit/sequencer"
	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// auditAcceptRestore is for who runs the server: it needs the state directory, which whoever has only the database has not.
func (inv *invocation) auditAcceptRestore() *cobra.Command {
	var file, reason string
	c := &cobra.Command{
		Use: "accept-restore -c FILE --reason TEXT", Short: "Let the logs go on after the database was set back to an older backup", Args: arguments(0, 0),
		Long: "Run it where the server runs. At its next start the server makes a new key for the audit log, says so and why in an entry, and goes on.\n" +
			"The old key and journal stay beside the new ones. Everybody who verified before is asked to accept the new key.",
		Example: "  bulkhead audit accept-restore -c configs/bulkhead.yaml --reason 'disk died; backup of 02:00'",
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the server's configuration file")
	c.Flags().StringVar(&reason, "reason", "", "why, for the log: no names of people")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if file == "" || reason == "" || len(reason) > 500 {
			return usage(c, "-c FILE or --reason TEXT (up to 500 bytes) is missing")
		}
		loaded, err := config.Load(file, inv.environ)
		if err != nil {
			return err
		}
		if err := sequencer.RequestRestore(loaded.StateDir, reason); err != nil {
			return errs.As(wire.Invalid, err, "%s has no key of an audit log, or cannot be written", loaded.StateDir)
		}
		fmt.Fprintln(inv.Err, "The restored logs are accepted when the server is started again.")
		return nil
	}
	return c
}
