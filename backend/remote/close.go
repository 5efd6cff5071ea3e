package remote

import (
	"context"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Reasons for which this package ends tunnels.
const (
	endedByUser    = "closed"
	endedByLogin   = "login_ended"
	endedByRevoke  = "revoked"
	endedByRestart = "server_restarted"
)

// recheck is how often it is asked whether the users of open tunnels may still have them.
const recheck = 250 * time.Millisecond

// retry is the pause between attempts to put an end on record.
const retry = 500 * time.Millisecond

// Start puts on record that the tunnels of a server which was killed have ended.
func (r *Remote) Start(ctx context.Context) error {
	left, err := r.Store.UnfinishedTunnels(ctx)
	if err != nil {
		return errs.Wrap("remote: start", err)
	}
	for _, t := range left {
		t.State, t.ClosedAt, t.Ended = Closed, r.now(), endedByRestart
		if err := r.Store.UpdateTunnel(ctx, t, []State{Granted, Open}, entry(audit.Server, audit.TunnelClose, t)); err != nil {
			return errs.Wrap("remote: start", err)
		}
	}
	return nil
}

// Run ends tunnels whose users may not have them any more, until ctx ends.
func (r *Remote) Run(ctx context.Context) {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Recheck(ctx)
			r.catchUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Recheck ends tunnels whose users may not have them any more, now.
func (r *Remote) Recheck(ctx context.Context) {
	for _, one := range r.all() {
		t := one.tunnel
		if one.late != nil {
			continue // it has ended
		}
		if !one.by.Still(ctx) || !r.Reachable(t.Project, t.Serial) {
			r.Gateway.End(t.ID, endedByRevoke)
		}
	}
}

// EndLogin ends the tunnels of a login or API key, and what it has entered. It does not block.
func (r *Remote) EndLogin(login string) {
	r.endVisits(login)
	for _, one := range r.all() {
		if one.by.Login == login {
			r.Gateway.End(one.tunnel.ID, endedByLogin)
		}
	}
}

// all gives what each live tunnel is now.
func (r *Remote) all() []live {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]live, 0, len(r.live))
	for _, one := range r.live {
		list = append(list, *one)
	}
	return list
}

// get gives what a live tunnel is now.
func (r *Remote) get(id string) (live, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.live[id]; one != nil {
		return *one, true
	}
	return live{}, false
}

// set changes what a live tunnel is.
func (r *Remote) set(id string, change func(*live)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.live[id]; one != nil {
		change(one)
	}
}

// Close ends a tunnel, or withdraws its request. One that has ended stays as it is.
func (r *Remote) Close(ctx context.Context, by audit.Actor, id string) error {
	t, err := r.Store.Tunnel(ctx, id)
	if err != nil {
		return errs.Wrap("remote: close", err)
	}
	switch t.State {
	case Requested, Approved:
		t.State, t.ClosedAt, t.Ended = Closed, r.now(), "withdrawn"
		return errs.Wrap("remote: close", r.Store.UpdateTunnel(ctx, t, []State{Requested, Approved}, entry(by, audit.TunnelClose, t)))
	case Granted, Open:
		r.set(id, func(one *live) {
			if one.ended.ID == "" {
				one.ended = by
			}
		})
		if !r.Gateway.End(id, endedByUser) {
			return r.closeLeft(ctx, by, t)
		}
	}
	return nil
}

// closeLeft puts on record that a tunnel has ended which the gateway does not have any more.
func (r *Remote) closeLeft(ctx context.Context, by audit.Actor, t Tunnel) error {
	if _, ok := r.get(t.ID); ok {
		return nil // its end is being put on record
	}
	t.State, t.ClosedAt, t.Ended = Closed, r.now(), endedByUser
	err := r.Store.UpdateTunnel(ctx, t, []State{Granted, Open}, entry(by, audit.TunnelClose, t))
	if errs.KindOf(err) == wire.Conflict {
		return nil // it is there by now
	}
	return errs.Wrap("remote: close", err)
}

// Opened puts the opening on record; nothing goes through before. A device may come to the gateway before its answer, which
// says whether it records, has come to us: the opening has that, so it waits for it.
func (r *Remote) Opened(ctx context.Context, id string) error {
	one, ok := r.get(id)
	if ok {
		select {
		case <-one.answered:
			one, ok = r.get(id)
		case <-ctx.Done():
			return errs.As(wire.Canceled, ctx.Err(), "the tunnel has ended before its device answered")
		}
	}
	if !ok || one.refused != nil || !one.by.Still(ctx) {
		return errs.E(wire.Denied, "the tunnel may not be had any more")
	}
	t := one.tunnel
	t.State, t.OpenedAt = Open, r.now()
	if err := r.Store.UpdateTunnel(ctx, t, []State{Granted}, entry(one.by.Actor, audit.TunnelOpen, t)); err != nil {
		return errs.Wrap("remote: opened", err)
	}
	r.set(id, func(one *live) { one.tunnel.State, one.tunnel.OpenedAt = t.State, t.OpenedAt })
	return nil
}

// streams is what the audit log has of streams that have begun.
type streams struct {
	Tunnel string `json:"tunnel"`
	Target string `json:"target"`
	First  int    `json:"first"`
	Last   int    `json:"last"`
}

// Streams puts the targets of streams on record.
func (r *Remote) Streams(ctx context.Context, id string, first, last int) {
	one, ok := r.get(id)
	if !ok {
		return
	}
	t := one.tunnel
	e := audit.New(one.by.Actor, audit.TunnelStream, t.Project, assetOf(t)).Changed(nil, streams{id, t.Target.String(), first, last})
	if err := r.Store.Record(ctx, e); err != nil {
		r.Log.Error("streams of a tunnel cannot be put on record, so it ends", logkey.Tunnel, id, logkey.Error, err)
		r.Gateway.End(id, "not_recorded")
	}
}

// Closed puts the end on record.
func (r *Remote) Closed(ctx context.Context, id string, c Closing) { r.finish(ctx, id, c) }

func (r *Remote) finish(ctx context.Context, id string, c Closing) {
	one, ok := r.get(id)
	if !ok {
		return
	}
	t, by, refused := one.tunnel, one.ended, one.refused
	if by.ID == "" {
		by = audit.Server
	}
	t.State, t.ClosedAt, t.Ended, t.Sent, t.Received, t.Streams = Closed, r.now(), c.Reason, c.Sent, c.Received, c.Streams
	e := entry(by, audit.TunnelClose, t)
	if refused != nil {
		t.Ended = "refused: " + errs.UserText(refused)
		e = entry(one.by.Actor, audit.TunnelRefuse, t).Failing()
	}
	r.leave(id)
	if !r.keep(ctx, t, e) { // while its end is not on record, it counts
		r.set(id, func(one *live) { one.late = &ending{t, e} })
		r.Log.Error("the end of a tunnel is not on record yet", logkey.Tunnel, id)
		return
	}
	r.forget(id)
}

// ending is an end that is not on record.
type ending struct {
	tunnel Tunnel
	entry  audit.Entry
}

// keep writes an end until it is written or ctx ends, and tells which.
func (r *Remote) keep(ctx context.Context, t Tunnel, e audit.Entry) bool {
	for !r.write(ctx, t, e) {
		timer := time.NewTimer(retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
	return true
}

func (r *Remote) write(ctx context.Context, t Tunnel, e audit.Entry) bool {
	err := r.Store.UpdateTunnel(ctx, t, []State{Granted, Open}, e)
	return err == nil || errs.KindOf(err) == wire.Conflict
}

// catchUp writes the ends that could not be written when they came, as when the database was away. It asks for one as long
// as that fails. What a server that stops has not written, its next start tells.
func (r *Remote) catchUp(ctx context.Context) {
	for _, one := range r.all() {
		if one.late == nil {
			continue
		}
		if !r.write(ctx, one.late.tunnel, one.late.entry) {
			return
		}
		r.forget(one.tunnel.ID)
	}
}

// leave ends what was entered at a tunnel that has ended.
func (r *Remote) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.live[id]; one != nil && one.site != nil {
		delete(r.sites, one.site.name)
		one.site.end(func(permit) bool { return true })
	}
}

// forget frees the place of a tunnel.
func (r *Remote) forget(id string) {
	r.leave(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, id)
}
