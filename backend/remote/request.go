package remote

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Ask is what somebody asks for.
type Ask struct {
	Target   wire.Target
	EndToEnd bool
	TTL      time.Duration // zero: DefaultTTL
	Reason   string
	Record   bool
}

func (a *Ask) check() error {
	if err := a.Target.Check(); err != nil {
		return errs.As(wire.Invalid, err, "%s", err)
	}
	if a.TTL == 0 {
		a.TTL = DefaultTTL
	}
	if a.TTL < minTTL || a.TTL > MaxTTL {
		return errs.E(wire.Invalid, "ttl: a tunnel lasts from %s to %s", minTTL, MaxTTL)
	}
	unprintable := strings.ContainsFunc(a.Reason, func(r rune) bool { return !unicode.IsPrint(r) })
	if utf8.RuneCountInString(a.Reason) > maxReason || unprintable || !utf8.ValidString(a.Reason) {
		return errs.E(wire.Invalid, "reason: at most %d characters, all of which can be read", maxReason)
	}
	if a.Target.Protocol.Web() && a.EndToEnd {
		return errs.E(wire.Invalid, "what the server shows as pages is not encrypted from end to end: to have it so, open a tunnel to %s", a.Target.Address())
	}
	return nil
}

// Request asks for a tunnel. Where the project wants no approval it is approved at once.
func (r *Remote) Request(ctx context.Context, by Requester, d Device, a Ask) (Tunnel, error) {
	if err := a.check(); err != nil {
		return Tunnel{}, err
	}
	if a.Target.Protocol.Web() && r.SiteURL == nil {
		return Tunnel{}, errs.E(wire.Unavailable, "this server shows no web applications: its operator has to set gateway.http_domain")
	}
	if !by.Fresh {
		return Tunnel{}, errStale
	}
	switch n, err := r.Store.WaitingTunnels(ctx, d.Project, by.Actor, r.now().Add(-waits)); {
	case err != nil:
		return Tunnel{}, errs.Wrap("remote: request", err)
	case n >= maxWaiting:
		return Tunnel{}, errs.E(wire.Exhausted, "%d of your requests wait in this project: open or close some first (bulkhead tunnel list)", n)
	}
	policy, err := r.Store.TunnelPolicy(ctx, d.Project)
	if err != nil {
		return Tunnel{}, errs.Wrap("remote: request", err)
	}
	t := Tunnel{
		ID: rand.Text(), Project: d.Project, Device: d.Key, DeviceName: d.Name, Serial: d.Serial, By: by.Actor, Target: a.Target,
		EndToEnd: a.EndToEnd, Reason: a.Reason, TTL: a.TTL, State: Approved, AskedAt: r.now(),
	}
	t.By.Session = by.Login
	if policy.Approval {
		t.State = Requested
	}
	t.Record = a.Record || policy.Recording
	if err := recordable(t); err != nil {
		return Tunnel{}, err
	}
	return t, errs.Wrap("remote: request", r.Store.InsertTunnel(ctx, t, entry(by.Actor, audit.TunnelRequest, t)))
}

// recordable refuses what cannot be recorded where a recording is asked for.
func recordable(t Tunnel) error {
	if t.Record && t.Target.Protocol != wire.ProtocolPTY {
		return errs.E(wire.Denied, "only shells can be recorded, and a recording is asked for: by you, or by the project; see bulkhead tunnel policy show")
	}
	return nil
}

var errStale = errs.E(wire.Denied, "show your second factor again: a tunnel asks for one that was shown in the last five minutes")

// Decide approves or denies what another has asked for.
func (r *Remote) Decide(ctx context.Context, by Requester, id string, approve bool) (Tunnel, error) {
	t, err := r.Store.Tunnel(ctx, id)
	if err != nil {
		return Tunnel{}, errs.Wrap("remote: decide", err)
	}
	action := audit.TunnelDeny
	before := t.State
	if approve {
		if by.same(t.By) {
			return Tunnel{}, r.refuse(ctx, by.Actor, t, errs.E(wire.Denied, "nobody approves their own request: ask somebody else"))
		}
		if !by.person() { // a service account, or a key that a program has, may be in the hands of who asks
			return Tunnel{}, r.refuse(ctx, by.Actor, t, errs.E(wire.Denied, "a person approves, logged in with a second factor: no API key and no service account"))
		}
		if !by.Fresh {
			return Tunnel{}, errStale
		}
		action, t.State, t.Approver = audit.TunnelApprove, Approved, string(by.Actor.Kind)+":"+by.Actor.ID
	} else {
		t.State, t.ClosedAt, t.Ended = Denied, r.now(), "denied"
	}
	if before != Requested {
		return Tunnel{}, errs.E(wire.Conflict, "the tunnel does not wait for an approval: it is %s", before)
	}
	if r.now().Sub(t.AskedAt) > waits {
		return Tunnel{}, errs.E(wire.Conflict, "the request is too old: it has to be made again")
	}
	return t, errs.Wrap("remote: decide", r.Store.UpdateTunnel(ctx, t, []State{Requested}, entry(by.Actor, action, t)))
}

// refuse puts a refusal on record and gives it back.
func (r *Remote) refuse(ctx context.Context, by audit.Actor, t Tunnel, why error) error {
	t.Ended = errs.UserText(why)
	if err := r.Store.Record(ctx, entry(by, audit.TunnelRefuse, t).Failing()); err != nil {
		return errs.Wrap("remote: refuse", err)
	}
	return why
}
