package rpc

import (
	"context"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

// agentTimeout is how long an agent may take to answer.
const agentTimeout = 15 * time.Second

// OpenTunnel has a device come to the gateway.
func (s *Server) OpenTunnel(ctx context.Context, project, device wire.Key, r wire.TunnelOpenRequest) (wire.TunnelOpenReply, error) {
	return callAgent(ctx, s, project, wire.TunnelOpen(project, device), r)
}

// ExtendTunnel has a device keep a tunnel for longer.
func (s *Server) ExtendTunnel(ctx context.Context, project, device wire.Key, r wire.TunnelExtendRequest) error {
	_, err := callAgent(ctx, s, project, wire.TunnelExtend(project, device), r)
	return err
}

// AskTerminal asks a device how it would serve a shell that the gateway reads.
func (s *Server) AskTerminal(ctx context.Context, project, device wire.Key) (wire.TerminalAskReply, error) {
	return callAgent(ctx, s, project, wire.TerminalAsk(project, device), wire.TerminalAskRequest{})
}

// callAgent calls a function of an agent's in its device realm.
func callAgent[Req, Rep any](ctx context.Context, s *Server, project wire.Key, p wire.Procedure[Req, Rep], r Req) (Rep, error) {
	var none Rep
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	var session *wampx.Session
	if seat := s.seat(realms.OfProject(project).Name()); seat != nil {
		session = seat.session.Load()
	}
	if session == nil {
		return none, errs.E(wire.Unavailable, "the project's devices cannot be reached now: try again in a second")
	}
	reply, err := wampx.Call(ctx, session, p, r)
	if wampx.Reason(err) == noSuchProcedure {
		return none, errs.As(wire.Unavailable, err, "the device is not connected")
	}
	return reply, err
}

// noSuchProcedure is what the router says of a device that is away.
const noSuchProcedure = "wamp.error.no_such_procedure"
