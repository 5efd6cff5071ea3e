package tunnel

import (
	"context"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Ask tells how a shell that the gateway reads would be served now, so that people know before they open one.
func (t *Tunnels) Ask(_ context.Context, _ wire.TerminalAskRequest) (wire.TerminalAskReply, error) {
	p, err := policy.Read(t.config.PolicyFile)
	if err != nil {
		return wire.TerminalAskReply{Refusal: "the device's policy allows nothing: " + err.Error()}, nil
	}
	a := p.Decide(policy.Question{Target: wire.PTY, Recorded: true, At: t.config.Now()})
	if !a.Allowed {
		return wire.TerminalAskReply{Refusal: a.Reason}, nil
	}
	runs, err := findAccount(a.Rule.Shell)
	if err != nil {
		return wire.TerminalAskReply{Refusal: errs.UserText(err)}, nil
	}
	return wire.TerminalAskReply{User: runs.name, Recorded: a.Rule.Record}, nil
}
