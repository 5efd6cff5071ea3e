package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/internal/dev"
)

// devCode shows what a sample user's authenticator would show, so that nobody has to install one to try the server.
func (inv *invocation) devCode(dir *string) *cobra.Command {
	c := &cobra.Command{
		Use: "code USER", Short: "Print the present code of a sample user's second factor", Args: arguments(1, 1),
		Long: "Print the present code of a sample user's second factor, from the state directory. A code works once: after it was used, wait for the next.",
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		code, left, err := dev.Code(*dir, args[0], time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintln(inv.Out, code)
		fmt.Fprintf(inv.Err, "it works once; the next comes in %d s\n", int(left.Seconds()))
		return nil
	}
	return c
}
