package rpc

import (
	"context"
	"slices"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

// deviceProcedures are offered in a device realm.
func (s *seat) deviceProcedures() []procedure {
	offers := []procedure{{wire.Assignments.URI, wampx.Exact, s.assignments}}
	if s.server.config.Recordings != nil {
		offers = append(offers, procedure{wire.RecordChunk.URI, wampx.Exact, s.recordChunk})
	}
	return offers
}

// assignments answers an agent for the device that its session is, whatever the request says.
func (s *seat) assignments(ctx context.Context, in *wampx.Invocation) (wampx.Result, error) {
	if realms.Role(in.CallerRole) != realms.RoleAgent {
		return wampx.Result{}, errs.E(wire.Denied, "assignments are told to agents")
	}
	by, err := s.server.place(s.realm, in.CallerAuthID, in.CallerRole)
	if err != nil {
		return wampx.Result{}, err
	}
	reply, err := s.server.config.Assignments.Assignments(ctx, wire.Serial(by.authID))
	if err != nil {
		return wampx.Result{}, err
	}
	return wampx.Result{Args: []any{reply}}, nil
}

// tellAgents tells the project's agents of changes, while the session lasts. What changed while there was none is told
// first.
func (s *seat) tellAgents(ctx context.Context, session *wampx.Session) error {
	for {
		if s.changed.Swap(false) {
			if err := s.tellAgentsNow(ctx, session); err != nil {
				s.changed.Store(true)
				return err
			}
		}
		select {
		case <-s.wake:
		case <-session.Done():
			return session.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *seat) tellAgentsNow(ctx context.Context, session *wampx.Session) error {
	var devices []wire.Key
	for _, d := range s.server.directory.Load().Devices() {
		if d.Project == s.realm.Project {
			devices = append(devices, d.Key)
		}
	}
	slices.Sort(devices)
	for _, key := range devices {
		event := wire.AssignmentsChange{Reason: "the installations of the project have changed"}
		if err := wampx.Publish(ctx, session, wire.AssignmentsChanged(key), event, wampx.PublishOptions{Unacknowledged: true}); err != nil {
			return err
		}
	}
	s.log.Debug("agents told of new assignments", logkey.Count, len(devices))
	return nil
}
