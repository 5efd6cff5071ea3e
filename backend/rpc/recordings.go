package rpc

import (
	"context"

	"bulkhead/backend/recording"
	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

// recordChunk keeps a chunk of a recording of the device that its session is, whatever the chunk says.
func (s *seat) recordChunk(ctx context.Context, in *wampx.Invocation) (wampx.Result, error) {
	if realms.Role(in.CallerRole) != realms.RoleAgent {
		return wampx.Result{}, errs.E(wire.Denied, "recordings come from agents")
	}
	by, err := s.server.place(s.realm, in.CallerAuthID, in.CallerRole)
	if err != nil {
		return wampx.Result{}, err
	}
	chunk, err := wampx.Argument[wire.RecordingChunk](in)
	if err != nil {
		return wampx.Result{}, err
	}
	device := recording.Device{Project: s.realm.Project, Key: by.device, Serial: wire.Serial(by.authID)}
	if err := s.server.config.Recordings.Append(ctx, device, chunk); err != nil {
		return wampx.Result{}, err
	}
	return wampx.Result{Args: []any{wire.RecordingKept{}}}, nil
}
