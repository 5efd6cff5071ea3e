package agentcli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"bulkhead/agent/state"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// status prints how the agent stands; its exit code tells scripts whether the device can be reached.
func (c *command) status(_ context.Context, args []string) error {
	var dir *string
	err := c.parse("status", args, func(f *flag.FlagSet) {
		dir = c.stateFlag(f)
		c.outputFlag(f)
	})
	if err != nil {
		return err
	}
	s, err := state.ReadStatus(*dir)
	if err != nil {
		return err
	}
	if err := c.print(s, func(w io.Writer) { printStatus(w, s) }); err != nil {
		return err
	}
	switch {
	case !s.Running:
		return errs.E(wire.Unavailable, "the agent does not run; start it with: bulkhead-agent run --flash-file FILE")
	case len(s.Realms) == 0 || !s.Realms[0].Joined:
		return errs.E(wire.Unavailable, "the agent is not connected; it keeps trying")
	default:
		return nil
	}
}

func printStatus(w io.Writer, s state.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush() //nolint:errcheck // there is nobody to tell
	running := "no"
	if s.Running {
		running = fmt.Sprintf("yes, process %d since %s", s.PID, clock(s.Started))
	}
	fmt.Fprintf(t, "device\t%s\nserial\t%s\nrouter\t%s\nrunning\t%s\n", s.Name, s.Serial, s.Router, running)
	fmt.Fprintf(t, "rows\t%d waiting, %d given up, %d refused\n", s.Buffered, s.Dropped, s.Refused)
	for _, r := range s.Realms {
		stands := "joined since " + clock(r.Since)
		if !r.Joined {
			stands = "not joined since " + clock(r.Since) + ": " + r.Reason
		}
		fmt.Fprintf(t, "%s\t%s\n", r.Realm, stands)
	}
}

func clock(ms int64) string { return time.UnixMilli(ms).Format(time.RFC3339) }
