package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// openWebTunnel is what `tunnel open` tells of a web application.
type openWebTunnel struct {
	ID       string         `json:"id"`
	URL      string         `json:"url"`
	EntryURL string         `json:"entry_url"`
	Target   string         `json:"target"`
	Expires  time.Time      `json:"expires_at"`
	Tunnel   httpapi.Tunnel `json:"tunnel"`
}

// openWeb has the server show a web application, until the tunnel ends or the user has had enough.
func (inv *invocation) openWeb(ctx context.Context, device string, ask httpapi.TunnelCreate) error {
	p, _, err := inv.ask(ctx, device, "tunnels", ask)
	if err != nil {
		return err
	}
	opening, err := fetch[httpapi.TunnelOpening](ctx, p.api, request{method: http.MethodPost, path: p.path("open"), body: httpapi.TunnelOpen{}})
	if err != nil {
		return p.abandon(ctx, err)
	}
	defer p.abandon(ctx, nil) //nolint:errcheck // it gives back what it is given
	p.tunnel = opening.Tunnel
	told := openWebTunnel{
		ID: p.tunnel.ID, URL: p.tunnel.URL, EntryURL: opening.EntryURL, Target: p.tunnel.Target, Expires: p.tunnel.ExpiresAt, Tunnel: p.tunnel,
	}
	fmt.Fprintln(inv.Err, "The gateway can read what goes through. The link works once, within two minutes; after that, the address asks for a login.")
	if err := inv.print(told, func() table {
		return table{rows: [][]string{{told.EntryURL, "->", printable(p.tunnel.Device), told.Target}}}
	}); err != nil {
		return err
	}
	return p.watch(ctx, inv)
}

// pollTunnel is how often it is asked whether a tunnel without a connection of ours has ended.
const pollTunnel = time.Second

// watch waits until the tunnel ends, or ctx does.
func (p *passage) watch(ctx context.Context, inv *invocation) error {
	meter := &tunnelMeter{until: p.tunnel.ExpiresAt}
	done := make(chan struct{})
	showing, stop := context.WithCancel(ctx)
	defer func() { stop(); <-done }()
	go func() { // waited for above
		defer close(done)
		meter.show(showing, inv)
	}()
	tick := time.NewTicker(pollTunnel)
	defer tick.Stop()
	for lost := 0; ; {
		select {
		case <-ctx.Done():
			return nil // to end it with Ctrl-C is what one does
		case <-tick.C:
		}
		t, err := fetch[httpapi.Tunnel](ctx, p.api, request{method: http.MethodGet, path: p.path()})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && errs.KindOf(err) == wire.Unavailable && lost < 10: // a server that stops ends the tunnel, and tells it when it is back
			lost++
		case err != nil:
			return err
		case !t.ClosedAt.IsZero():
			return p.explain(ctx)
		default:
			lost = 0
			meter.sent.Store(t.Sent)
			meter.received.Store(t.Received)
			meter.open.Store(int64(t.Streams))
		}
	}
}
