package agent

import (
	"context"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

const (
	setupTimeout = 15 * time.Second
	callTimeout  = 15 * time.Second
	askInterval  = 5 * time.Minute // for assignments, in case that a change was not heard of
)

// deviceMembership keeps the agent in the realm in which its project manages its devices.
func (a *Agent) deviceMembership() *membership {
	return &membership{realm: a.config.Flash.DeviceRealm, join: a.join, serve: a.serveDevice, board: a.board, log: a.log}
}

// serveDevice offers the agent's functions, says that it is there, and follows its assignments.
func (a *Agent) serveDevice(ctx context.Context, s *wampx.Session) error {
	a.device.Store(s)
	defer a.device.Store(nil)
	changed := make(chan struct{}, 1)
	a.introduce(ctx, s, changed)
	for {
		pause := a.ask(ctx, s)
		select {
		case <-changed:
		case <-time.After(pause):
		case <-s.Done():
			return s.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// introduce sets the session up. A part that is refused is said and left out: a device that can be reached for something
// is better than one that cannot be reached.
func (a *Agent) introduce(ctx context.Context, s *wampx.Session, changed chan<- struct{}) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	flash := a.config.Flash
	part := func(err error) {
		if err != nil && s.Err() == nil && ctx.Err() == nil {
			a.log.Warn("refused by the router", logkey.Realm, s.Realm(), logkey.Error, err)
		}
	}
	part(a.offer(ctx, s, "", func(name string) string { return wire.AgentFunction(flash.Project, flash.Device, name) }))
	part(a.offerTunnels(ctx, s))
	_, err := wampx.Subscribe(ctx, s, wire.AssignmentsChanged(flash.Device), func(context.Context, wire.AssignmentsChange, wampx.Event) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	part(err)
	presence := wire.Presence(flash.Project, flash.Device)
	here := wire.PresenceEvent{Device: flash.Device, Serial: flash.Serial, Online: true}
	gone := here
	gone.Online = false
	part(wampx.Testament(ctx, s, presence, gone)) // the router publishes it however the session ends, also after GOODBYE
	part(wampx.Publish(ctx, s, presence, here, wampx.PublishOptions{}))
}

// ask asks for the assignments and follows them. It gives the time until it is to ask again.
func (a *Agent) ask(ctx context.Context, s *wampx.Session) time.Duration {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := wampx.Call(call, s, wire.Assignments, wire.AssignmentsRequest{Version: wire.Version})
	if err != nil {
		if s.Err() == nil && ctx.Err() == nil {
			a.log.Warn("the assignments are not known; the agent keeps those that it had", logkey.Reason, errs.UserText(err), logkey.Error, err)
		}
		a.unanswered++
		return (&backoff{attempts: a.unanswered}).next()
	}
	a.unanswered = 0
	a.follow(ctx, reply.Assignments)
	return askInterval
}

// follow takes new assignments and remembers them, so that the next start does not need the backend.
func (a *Agent) follow(ctx context.Context, list []wire.Assignment) {
	if sameAssignments(a.memory.Assignments, list) {
		return
	}
	a.log.Info("assigned", logkey.Count, len(list))
	a.memory.Assignments = list
	a.remember()
	a.assign(ctx, list)
}
