package agent

import (
	"context"

	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// keepRecording hands a chunk of a recording to the backend, by the session in the device realm.
func (a *Agent) keepRecording(ctx context.Context, c wire.RecordingChunk) error {
	s := a.device.Load()
	if s == nil {
		return errs.E(wire.Unavailable, "the device is not connected")
	}
	_, err := wampx.Call(ctx, s, wire.RecordChunk, c)
	if wampx.Reason(err) == wampx.NoSuchProcedure {
		return errs.As(wire.Unavailable, err, "the backend is away")
	}
	return err
}
