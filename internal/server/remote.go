package server

import (
	"context"
	"crypto/ed25519"
	"net"
	"time"

	"bulkhead/backend/remote"
	"bulkhead/db"
	"bulkhead/internal/secret"
	"bulkhead/router/gateway"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// makeRemote makes the gateway and what decides about tunnels.
func (s *Server) makeRemote(ctx context.Context, key ed25519.PrivateKey) error {
	events := &tunnelEvents{}
	s.gateway = gateway.New(gateway.Config{Events: events, Log: s.log, Settle: func(c net.Conn) { transport.Settle(c) }})
	s.remote = remote.New(remote.Config{
		Store: db.NewTunnels(s.db), Gateway: tunnelGateway{s.gateway}, Agents: s.rpc, Key: key,
		UserURL: webSocketURL(s.public, wire.TunnelPathUser), DeviceURL: webSocketURL(s.public, wire.TunnelPathDevice), SiteURL: s.siteURL(),
		RecordingKey: s.recordings.Key,
		Reachable: func(project wire.Key, serial wire.Serial) bool {
			d, ok := s.assets.Directory().Device(serial)
			return ok && d.Project == project && !d.Suspended
		},
		MayApprove: s.authorizer().MayApprove, Log: s.log, Now: time.Now,
	})
	events.remote = s.remote
	if err := s.remote.Start(ctx); err != nil {
		return err
	}
	s.OnPrivileges(func() { s.remote.Recheck(context.WithoutCancel(ctx)) }) // and Run looks for what no change of privileges tells
	s.group.Go(s.remote.Run)
	return nil
}

// tunnelGateway shows the gateway to who decides.
type tunnelGateway struct{ gateway *gateway.Gateway }

var _ remote.Gateway = tunnelGateway{}

// Admit makes a tunnel that waits for its ends.
func (g tunnelGateway) Admit(p remote.Pass) (user, device secret.Value, err error) {
	tickets, err := g.gateway.Admit(gateway.Pass{ID: p.ID, Expires: p.Expires, Idle: p.Idle, MaxStreams: p.MaxStreams, Inside: p.Inside})
	return tickets.User, tickets.Device, err
}

// End ends a tunnel.
func (g tunnelGateway) End(id, reason string) bool { return g.gateway.End(id, gateway.Reason(reason)) }

// Extend gives a tunnel a later end.
func (g tunnelGateway) Extend(id string, expires time.Time) bool {
	return g.gateway.Extend(id, expires)
}

// Usage tells what has gone through a tunnel.
func (g tunnelGateway) Usage(id string) (remote.Usage, bool) {
	u, ok := g.gateway.Usage(id)
	return remote.Usage{Sent: u.Sent, Received: u.Received, Streams: u.Streams}, ok
}

// tunnelEvents tells who decides what the gateway sees. Each is made with the other.
type tunnelEvents struct{ remote *remote.Remote }

var _ gateway.Events = (*tunnelEvents)(nil)

// Opened puts an opening on record.
func (e *tunnelEvents) Opened(ctx context.Context, id string) error { return e.remote.Opened(ctx, id) }

// Streams puts streams on record.
func (e *tunnelEvents) Streams(ctx context.Context, id string, first, last int) {
	e.remote.Streams(ctx, id, first, last)
}

// Closed puts an end on record.
func (e *tunnelEvents) Closed(ctx context.Context, id string, c gateway.Closing) {
	e.remote.Closed(ctx, id, remote.Closing{
		Usage: remote.Usage{Sent: c.Sent, Received: c.Received, Streams: c.Streams}, Reason: string(c.Reason), Duration: c.Duration,
	})
}
