package remote

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Opening is what the user's end needs. One that is inside needs neither gateway nor ticket: it enters by the tunnel's id.
type Opening struct {
	Tunnel     Tunnel
	Gateway    string
	Ticket     secret.Value
	DeviceKey  string       // fingerprint of the key with which the device proves itself, end to end
	Answer     string       // of the device, to the hello
	MaxStreams int          // at once, as far as the device's policy leaves that
	Entry      secret.Value // the URL at which a browser enters a web application, once and soon
}

// UserEnd is what the user's end of a tunnel brings that is encrypted from end to end.
type UserEnd struct {
	Key   string // fingerprint of the key with which it proves itself to the device
	Hello string // its first letter to the device, which is nothing to us
}

// OpenTunnel grants a tunnel that is approved, has its device come to the gateway, and lets the user's end in there.
func (r *Remote) OpenTunnel(ctx context.Context, by Requester, id string, end UserEnd) (Opening, error) {
	t, err := r.openable(ctx, by, id, end)
	if err != nil {
		return Opening{}, err
	}
	now := r.now()
	t.State, t.ExpiresAt = Granted, now.Add(t.TTL)
	signed, err := r.sign(ctx, t, by, end.Key, now)
	if err != nil {
		return Opening{}, err
	}
	answered := make(chan struct{})
	if err := r.reserve(&live{tunnel: t, by: by, client: end.Key, site: newSite(t), answered: answered}); err != nil {
		return Opening{}, err
	}
	defer close(answered)
	if err := r.Store.UpdateTunnel(ctx, t, []State{Approved}, entry(by.Actor, audit.TunnelGrant, t)); err != nil {
		r.forget(id)
		return Opening{}, errs.Wrap("remote: open", err)
	}
	return r.bring(ctx, by, t, wire.TunnelOpenRequest{Grant: signed, Hello: end.Hello})
}

// reserve counts a tunnel among the live ones of its user, if there is room: of many that are opened at once, too.
func (r *Remote) reserve(one *live) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, inProject := 0, 0
	for _, other := range r.live {
		if one.by.same(other.tunnel.By) {
			n++
		}
		if other.tunnel.Project == one.tunnel.Project {
			inProject++
		}
	}
	switch {
	case r.live[one.tunnel.ID] != nil:
		return errs.E(wire.Conflict, "each request opens one tunnel, once")
	case n >= maxPerUser:
		return errs.E(wire.Exhausted, "you have %d tunnels open: close one first", maxPerUser)
	case inProject >= r.PerProject:
		return errs.E(wire.Exhausted, "the project has %d tunnels open, and may have no more", r.PerProject)
	}
	r.live[one.tunnel.ID] = one
	if one.site != nil {
		r.sites[one.site.name] = one.tunnel.ID
	}
	return nil
}

// bring has both ends come. Whatever goes wrong from here on is told by the gateway when it gives the tunnel up.
func (r *Remote) bring(ctx context.Context, by Requester, t Tunnel, ask wire.TunnelOpenRequest) (Opening, error) {
	user, device, err := r.Gateway.Admit(Pass{ID: t.ID, Expires: t.ExpiresAt, Idle: idle, MaxStreams: maxStreams, Inside: t.Inside()})
	if err != nil {
		r.set(t.ID, func(one *live) { one.refused = err })
		r.finish(context.WithoutCancel(ctx), t.ID, Closing{Reason: "refused"})
		return Opening{}, err
	}
	ask.Ticket = string(device.Reveal())
	reply, err := r.Agents.OpenTunnel(ctx, t.Project, t.Device, ask)
	if err == nil {
		if raw, e := base64.StdEncoding.DecodeString(reply.Key); e != nil || len(raw) != 32 || len(reply.Answer) > wire.MaxTunnelLetter {
			err = errs.E(wire.Unavailable, "the device answers with something that is no key")
		}
	}
	if err == nil && t.Record && !reply.Recorded {
		err = errs.E(wire.Denied, "it does not record, which is asked for")
	}
	if err != nil {
		err = errs.As(errs.KindOf(err), err, "the device does not open the tunnel: %s", Readable(errs.UserText(err)))
		r.set(t.ID, func(one *live) { one.refused = err })
		r.Gateway.End(t.ID, "refused")
		return Opening{}, err
	}
	if reply.Recorded {
		t.Signer = reply.Key
		r.set(t.ID, func(one *live) { one.tunnel.Signer = t.Signer })
	}
	opening := Opening{Tunnel: t, DeviceKey: reply.Key, Answer: reply.Answer, MaxStreams: max(1, min(reply.MaxStreams, maxStreams))}
	if !t.Inside() {
		opening.Gateway, opening.Ticket = r.UserURL, user
	}
	if t.Target.Protocol.Web() {
		r.set(t.ID, func(one *live) { one.site.streams = opening.MaxStreams })
		opening.Entry, err = r.invite(t.ID, by.Login)
	}
	return opening, err
}

// Readable makes what a device says fit to be kept and shown: a device may be in other hands.
func Readable(s string) string {
	const most = 300
	kept := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if runes := []rune(kept); len(runes) > most {
		kept = string(runes[:most]) + "..."
	}
	return kept
}

// openable gives the tunnel if by may open it now.
func (r *Remote) openable(ctx context.Context, by Requester, id string, end UserEnd) (Tunnel, error) {
	t, err := r.Store.Tunnel(ctx, id)
	if err != nil {
		return t, errs.Wrap("remote: open", err)
	}
	if !by.same(t.By) {
		return t, r.refuse(ctx, by.Actor, t, errs.E(wire.Denied, "a tunnel is opened by who asked for it"))
	}
	if !by.Fresh || by.Still == nil || by.Login == "" {
		return t, errStale
	}
	if raw, err := base64.StdEncoding.DecodeString(end.Key); t.EndToEnd != (end.Key != "") || end.Key != "" && (err != nil || len(raw) != 32) {
		return t, errs.E(wire.Invalid, "client_key: want the SHA-256 of a public key in base64, if and only if the tunnel is encrypted from end to end")
	}
	if !t.EndToEnd && end.Hello != "" || len(end.Hello) > wire.MaxTunnelLetter {
		return t, errs.E(wire.Invalid, "hello: want at most %d characters, and none where the tunnel is not encrypted from end to end", wire.MaxTunnelLetter)
	}
	policy, err := r.Store.TunnelPolicy(ctx, t.Project)
	if err != nil {
		return t, errs.Wrap("remote: open", err)
	}
	t.Record = t.Record || policy.Recording
	if err := recordable(t); err != nil {
		return t, r.refuse(ctx, by.Actor, t, err)
	}
	switch {
	case t.State == Requested:
		return t, errs.E(wire.Conflict, "the tunnel waits for its approval")
	case t.State != Approved:
		return t, errs.E(wire.Conflict, "the tunnel is %s: each request opens one tunnel, once", t.State)
	case r.now().Sub(t.AskedAt) > waits:
		return t, errs.E(wire.Conflict, "the request is too old: make another")
	case r.Reachable == nil || !r.Reachable(t.Project, t.Serial):
		return t, r.refuse(ctx, by.Actor, t, errs.E(wire.Denied, "the device is suspended or revoked"))
	}
	if err := r.approved(ctx, t, policy); err != nil {
		return t, r.refuse(ctx, by.Actor, t, err)
	}
	return t, nil
}

func (r *Remote) sign(ctx context.Context, t Tunnel, by Requester, clientKey string, now time.Time) (wire.SignedGrant, error) {
	key := ""
	if t.Target.Protocol == wire.ProtocolPTY { // the device may record it by its own policy, too
		var err error
		if key, err = r.RecordingKey(ctx, t.Project); err != nil {
			return wire.SignedGrant{}, errs.Wrap("remote: sign", err)
		}
	}
	approvers := []string{}
	if t.Approver != "" {
		approvers = append(approvers, t.Approver)
	}
	signed, err := wire.SignGrant(r.Key, wire.Grant{
		Version: wire.Version, ID: t.ID, Project: t.Project, Device: t.Device, Serial: t.Serial,
		By:     wire.Grantee{Kind: string(by.Actor.Kind), ID: by.Actor.ID, Name: by.Actor.Name, Method: by.Method, At: by.At.UnixMilli()},
		Target: t.Target, Record: t.Record, RecordKey: key, ClientKey: clientKey, Gateway: r.DeviceURL,
		NotBefore: now.Add(-wire.GrantSkew).UnixMilli(), OpenBy: now.Add(openWithin).UnixMilli(), Expires: t.ExpiresAt.UnixMilli(),
		IdleSeconds: int(idle / time.Second), MaxStreams: maxStreams, Approvers: approvers, Nonce: rand.Text(),
	})
	return signed, errs.As(wire.Internal, err, "")
}

// Extend lets an open tunnel last for ttl from now.
func (r *Remote) Extend(ctx context.Context, by Requester, id string, ttl time.Duration) (Tunnel, error) {
	one, ok := r.get(id)
	switch {
	case !ok || one.late != nil:
		return Tunnel{}, errs.E(wire.Conflict, "the tunnel is not open")
	case !by.same(one.tunnel.By):
		return Tunnel{}, errs.E(wire.Denied, "a tunnel is extended by who asked for it")
	case !by.Fresh:
		return Tunnel{}, errStale
	case ttl < minTTL || ttl > MaxTTL:
		return Tunnel{}, errs.E(wire.Invalid, "ttl: a tunnel lasts from %s to %s", minTTL, MaxTTL)
	}
	t, err := r.Store.Tunnel(ctx, id)
	if err != nil {
		return t, errs.Wrap("remote: extend", err)
	}
	policy, err := r.Store.TunnelPolicy(ctx, t.Project)
	if err == nil {
		err = r.approved(ctx, t, policy)
	}
	if err != nil {
		return t, errs.Wrap("remote: extend", err)
	}
	now := r.now()
	if now.Add(ttl).Sub(t.OpenedAt) > MaxTTL {
		return t, errs.E(wire.Denied, "a tunnel lasts %s at most: open another", MaxTTL)
	}
	if now.Add(ttl).After(t.ExpiresAt) { // it is not made shorter
		t.ExpiresAt = now.Add(ttl)
	}
	signed, err := r.sign(ctx, t, by, one.client, now)
	if err != nil {
		return t, err
	}
	if err := r.Store.UpdateTunnel(ctx, t, []State{Open}, entry(by.Actor, audit.TunnelExtend, t)); err != nil {
		return t, errs.Wrap("remote: extend", err)
	}
	if err := r.Agents.ExtendTunnel(ctx, t.Project, t.Device, wire.TunnelExtendRequest{Grant: signed}); err != nil {
		return t, errs.Wrap("remote: extend", err)
	}
	r.set(id, func(one *live) { one.tunnel.ExpiresAt = t.ExpiresAt })
	if !r.Gateway.Extend(id, t.ExpiresAt) {
		return t, errs.E(wire.Conflict, "the tunnel is not open")
	}
	return t, nil
}
