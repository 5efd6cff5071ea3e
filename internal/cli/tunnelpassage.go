package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// passage is a tunnel that is open at this end.
type passage struct {
	api     *client
	tunnel  httpapi.Tunnel
	target  wire.Target // that was asked for
	session mux.Session
	end     *mux.UserEnd
	device  string // fingerprint of the device's key
}

// pollApproval is how often it is asked whether a tunnel has been approved.
const pollApproval = time.Second

// pass asks for a tunnel to a target, waits for its approval where the project wants one, and opens it.
func (inv *invocation) pass(ctx context.Context, device, kind string, target wire.Target, body any) (*passage, error) {
	p, found, err := inv.ask(ctx, device, kind, body)
	if err != nil {
		return nil, err
	}
	p.target = target
	if err := p.open(ctx, inv, found, device); err != nil {
		return nil, p.abandon(ctx, err)
	}
	return p, nil
}

// ask asks for a tunnel and waits for its approval where the project wants one.
func (inv *invocation) ask(ctx context.Context, device, kind string, body any) (*passage, httpapi.Device, error) {
	api, err := inv.client()
	if err != nil {
		return nil, httpapi.Device{}, err
	}
	found, target, err := find(ctx, api, device)
	if err != nil {
		return nil, found, err
	}
	t, err := fetch[httpapi.Tunnel](ctx, api, request{method: http.MethodPost, path: target + "/" + kind, body: body})
	if err != nil {
		return nil, found, err
	}
	p := &passage{api: api, tunnel: t}
	if err := p.awaitApproval(ctx, inv); err != nil {
		return nil, found, p.abandon(ctx, err)
	}
	return p, found, nil
}

func (p *passage) path(more ...string) string {
	return path(append([]string{"tunnels", p.tunnel.ID}, more...)...)
}

// awaitApproval waits until another has decided.
func (p *passage) awaitApproval(ctx context.Context, inv *invocation) (err error) {
	if p.tunnel.State == "requested" {
		fmt.Fprintf(inv.Err, "waiting for an approval; somebody else types: bulkhead tunnel approve %s\n", p.tunnel.ID)
	}
	for p.tunnel.State == "requested" {
		select {
		case <-time.After(pollApproval):
		case <-ctx.Done():
			return ctx.Err()
		}
		if p.tunnel, err = fetch[httpapi.Tunnel](ctx, p.api, request{method: http.MethodGet, path: p.path()}); err != nil {
			return err
		}
	}
	if p.tunnel.State != "approved" {
		return errs.E(wire.Denied, "the tunnel is not opened: it was %s", p.tunnel.State)
	}
	return nil
}

func (p *passage) open(ctx context.Context, inv *invocation, found httpapi.Device, name string) (err error) {
	if p.end, err = mux.NewUserEnd(); err != nil {
		return err
	}
	defer p.end.Close() // the handshake is over then, or given up
	opening, err := fetch[httpapi.TunnelOpening](ctx, p.api, request{
		method: http.MethodPost, path: p.path("open"), body: httpapi.TunnelOpen{ClientKey: p.end.Key(), Hello: p.end.Hello()},
	})
	if err != nil {
		return err
	}
	p.tunnel, p.device = opening.Tunnel, opening.DeviceKey
	if err := p.end.Meet(opening.Answer, opening.DeviceKey, wire.TunnelTerms(p.target, p.tunnel.Recorded)); err != nil {
		return err
	}
	if err := p.trust(inv, found.Key, name); err != nil {
		return err
	}
	tlsConfig, err := p.api.context.tlsConfig()
	if err != nil {
		return err
	}
	ws, err := mux.Dial(ctx, mux.Door{URL: opening.Gateway, Ticket: secret.FromString(opening.Ticket), TLS: tlsConfig})
	if err != nil {
		return err
	}
	p.session, err = mux.Client(ws, mux.Config{Window: 16 << 20, Budget: 64 << 20})
	return err
}

// trust compares the key that the device has proved with the one that it had before.
func (p *passage) trust(inv *invocation, device wire.Key, name string) error {
	known, err := inv.knownDevices(p.api.context)
	if err != nil {
		return err
	}
	first, err := known.check(p.api.context.Server, device, name, p.device)
	if first {
		fmt.Fprintf(inv.Err, "%s is met for the first time; its key is %s\n", printable(name), p.device)
	}
	return err
}

// abandon withdraws the tunnel, so that nothing of it stays open, and gives back why.
func (p *passage) abandon(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if response, err := p.api.do(ctx, request{method: http.MethodDelete, path: p.path()}); err == nil {
		_ = response.Body.Close()
	}
	return why
}

// stream opens a stream that the gateway cannot read.
func (p *passage) stream(ctx context.Context) (mux.Stream, error) {
	s, err := p.session.Open(ctx)
	if err != nil {
		return nil, err
	}
	return p.end.Seal(s)
}

// close ends the tunnel.
func (p *passage) close(ctx context.Context) {
	p.session.Close()
	_ = p.abandon(ctx, nil)
}

// explain says why a tunnel ended that nobody here has ended.
func (p *passage) explain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	why := "the connection to the gateway is lost"
	for range 10 { // the gateway closes its sockets before the end is on record
		t, err := fetch[httpapi.Tunnel](ctx, p.api, request{method: http.MethodGet, path: p.path()})
		if err != nil {
			break
		}
		if t.Ended != "" {
			why = remote.Why(t.Ended)
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return errs.E(wire.Unavailable, "the tunnel has ended: %s", why)
}
