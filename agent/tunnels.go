package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"sync"

	"bulkhead/agent/tunnel"
	"bulkhead/agent/tunnel/recorder"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// roleBackend is the authrole of the backend's own sessions, as the router stamps it.
const roleBackend = "backend"

// newTunnels makes the device's end of tunnels.
func newTunnels(c Config, authority *x509.CertPool, keep recorder.Keep) *tunnel.Tunnels {
	key, _ := base64.StdEncoding.DecodeString(c.Flash.GrantKey) // checked with the flash file; without a key no grant counts
	return tunnel.New(tunnel.Config{
		Project: c.Flash.Project, Device: c.Flash.Device, Serial: c.Flash.Serial, GrantKey: ed25519.PublicKey(key), Authority: authority,
		Used: c.State, Identity: sync.OnceValues(func() (mux.Identity, error) { return identity(c) }), PolicyFile: c.PolicyFile, Keep: keep, Log: c.Log,
	})
}

func identity(c Config) (mux.Identity, error) {
	der, err := c.State.TunnelKey(func() ([]byte, error) {
		made, err := mux.NewIdentity()
		if err != nil {
			return nil, err
		}
		return made.Marshal()
	})
	if err != nil {
		return mux.Identity{}, err
	}
	return mux.ParseIdentity(der)
}

// offerTunnels registers what the backend, and nobody else, asks of the device's end of tunnels.
func (a *Agent) offerTunnels(ctx context.Context, s *wampx.Session) error {
	project, device := a.config.Flash.Project, a.config.Flash.Device
	if err := offerOne(ctx, s, wire.TunnelOpen(project, device), a.tunnels.Open); err != nil {
		return err
	}
	if err := offerOne(ctx, s, wire.TerminalAsk(project, device), a.tunnels.Ask); err != nil {
		return err
	}
	err := offerOne(ctx, s, wire.TunnelExtend(project, device), func(ctx context.Context, r wire.TunnelExtendRequest) (wire.TunnelDone, error) {
		return wire.TunnelDone{}, a.tunnels.Extend(ctx, r)
	})
	if err != nil {
		return err
	}
	return offerOne(ctx, s, wire.TunnelClose(project, device), func(ctx context.Context, r wire.TunnelCloseRequest) (wire.TunnelDone, error) {
		return wire.TunnelDone{}, a.tunnels.Close(ctx, r)
	})
}

func offerOne[Req, Rep any](ctx context.Context, s *wampx.Session, p wire.Procedure[Req, Rep], do func(context.Context, Req) (Rep, error)) error {
	_, err := wampx.Register(ctx, s, p, wampx.RegisterOptions{ForceReregister: true}, func(ctx context.Context, in *wampx.Invocation, r Req) (Rep, error) {
		if in.CallerRole != roleBackend {
			var none Rep
			return none, errs.E(wire.Denied, "tunnels are the backend's to open: see bulkhead tunnel open")
		}
		return do(ctx, r)
	})
	return err
}
