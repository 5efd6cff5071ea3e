package recording

import (
	"context"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

const (
	// look is how often recordings without an end are looked for, and purge how often old ones are.
	look  = 5 * time.Second
	purge = time.Hour
	// grace is how long a device has for the last chunks after its tunnel has ended: the window of acknowledgement and some.
	grace = 15 * time.Second
	// batch is how many old recordings are deleted at a time.
	batch = 100
)

// Run puts an end to recordings whose devices do not, and deletes old ones, until ctx ends.
func (r *Recordings) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var purged time.Time
	for {
		r.complain(ctx, r.CutLeft(ctx))
		if now := r.Now(); now.Sub(purged) >= purge {
			r.complain(ctx, r.Purge(ctx))
			purged = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Recordings) complain(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.Log.Warn("recordings cannot be seen to; that is tried again", logkey.Error, err)
	}
}

// CutLeft puts on record that recordings are cut whose tunnels have ended, and whose ends have not come for a while.
func (r *Recordings) CutLeft(ctx context.Context) error {
	left, err := r.Store.LeftRecordings(ctx, r.now().Add(-grace))
	if err != nil {
		return errs.Wrap("recording: cut", err)
	}
	for _, one := range left {
		of := one.Recording
		of.State, of.Ended = Cut, "the device sent no end; its tunnel ended: "+one.TunnelEnded
		err := r.Store.CutRecording(ctx, of, entry(audit.Server, audit.RecordingEnd, of).Failing())
		if err != nil && errs.KindOf(err) != wire.Conflict { // its end has come after all
			return errs.Wrap("recording: cut", err)
		}
	}
	return nil
}

// Purge deletes the recordings that are kept for long enough.
func (r *Recordings) Purge(ctx context.Context) error {
	for {
		old, err := r.Store.OldRecordings(ctx, r.now().Add(-r.Keep), batch)
		if err != nil {
			return errs.Wrap("recording: purge", err)
		}
		for _, one := range old {
			e := audit.New(audit.Server, audit.RecordingDelete, one.Project, assetOf(one.Device, one.DeviceName)).Changed(tell(one), nil)
			if err := r.Store.DeleteRecording(ctx, one, e); err != nil && errs.KindOf(err) != wire.NotFound {
				return errs.Wrap("recording: purge", err)
			}
		}
		if len(old) < batch {
			return nil
		}
	}
}
