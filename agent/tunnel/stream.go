package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const targetTimeout = 10 * time.Second

// tunnel is one that is open, or on its way.
type tunnel struct {
	tunnels *Tunnels
	grant   wire.Grant
	own     mux.Identity
	end     *mux.DeviceEnd // nil: not encrypted from end to end
	bounds  bounds
	log     *slog.Logger
	there   *rate.Limiter // to the target; nil: no limit
	back    *rate.Limiter
	ctx     context.Context // ends when the tunnel is to end
	stop    context.CancelFunc
	timer   *time.Timer // stops the tunnel when it expires

	recorded atomic.Int32 // shells that were recorded so far
}

func newTunnel(t *Tunnels, g wire.Grant, own mux.Identity, b bounds) *tunnel {
	one := &tunnel{tunnels: t, grant: g, own: own, bounds: b, log: t.config.Log.With(logkey.Tunnel, g.ID)}
	if b.rate > 0 {
		burst := int(max(32<<10, min(b.rate/8, 1<<20)))
		one.there, one.back = rate.NewLimiter(rate.Limit(b.rate), burst), rate.NewLimiter(rate.Limit(b.rate), burst)
	}
	one.ctx, one.stop = context.WithCancel(t.group.Context())
	one.timer = time.AfterFunc(time.UnixMilli(g.Expires).Sub(t.config.Now()), one.stop)
	return one
}

// shake answers the hello of a user's end that encrypts, and that was told whether shells are recorded.
func (t *tunnel) shake(hello string, recorded bool) (answer string, err error) {
	if t.grant.EndToEnd() {
		t.end, answer, err = mux.Answer(t.own, t.grant.ClientKey, hello, wire.TunnelTerms(t.grant.Target, recorded))
	}
	return answer, err
}

// finish gives back what the tunnel has.
func (t *tunnel) finish() {
	t.timer.Stop()
	t.stop()
	if t.end != nil {
		t.end.Close()
	}
}

func (t *tunnel) expire(in time.Duration) { t.timer.Reset(in) }

// run is the life of a tunnel.
func (t *tunnel) run(_ context.Context, ticket secret.Value) {
	defer t.tunnels.forget(t)
	defer t.finish()
	c := t.tunnels.config
	ws, err := mux.Dial(t.ctx, mux.Door{
		URL: t.grant.Gateway, Ticket: ticket, TLS: &tls.Config{RootCAs: c.Authority, MinVersion: tls.VersionTLS12}, Proxy: c.Proxy,
	})
	if err != nil {
		t.log.Warn("a tunnel was not opened", logkey.Reason, errs.UserText(err), logkey.Error, err)
		return
	}
	session, err := mux.Server(ws, mux.Config{Streams: t.bounds.streams, Window: window, Budget: memory, Ping: c.Ping})
	if err != nil {
		t.log.Error("a tunnel was not opened", logkey.Error, err)
		return
	}
	t.log.Info("tunnel opened", logkey.Target, t.grant.Target.String(), logkey.AuthID, t.grant.By.Kind+":"+t.grant.By.ID)
	began := time.Now()
	t.serve(session)
	t.log.Info("tunnel closed", logkey.Duration, time.Since(began).Round(time.Millisecond))
}

func (t *tunnel) serve(session mux.Session) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer session.Close()
	closing := context.AfterFunc(t.ctx, session.Close)
	defer closing()
	for {
		stream, err := session.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { t.answer(stream) })
	}
}

// answer connects one stream with what the policy allows now.
func (t *tunnel) answer(stream mux.Stream) {
	defer stream.Close() //nolint:errcheck // what it carried is through, or is broken off
	rule, err := t.tunnels.ask(t.grant)
	if err == nil && t.grant.EndToEnd() {
		stream, err = t.seal(stream)
	}
	if err == nil {
		err = t.connect(stream, rule)
	}
	if err != nil {
		t.log.Warn("a stream of a tunnel was refused", logkey.Reason, errs.UserText(err), logkey.Error, err)
		_ = stream.Reset()
	}
}

// seal keeps the stream where the handshake fails, so that it can be broken off.
func (t *tunnel) seal(stream mux.Stream) (mux.Stream, error) {
	sealed, err := t.end.Seal(stream)
	if err != nil {
		return stream, err
	}
	return sealed, nil
}

func (t *tunnel) connect(stream mux.Stream, rule policy.Rule) error {
	if t.grant.Target.Protocol == wire.ProtocolPTY {
		return t.shell(stream, rule)
	}
	target, err := t.dial(rule)
	if err != nil {
		return err
	}
	defer target.Close()                                                      //nolint:errcheck // what it carried is through, or is broken off
	_, _, _ = mux.Pipe(t.limited(stream, t.there), t.limited(target, t.back)) // its ends know
	return nil
}

// dial resolves the target and dials only addresses that the rule names, so that a name cannot be pointed elsewhere
// between the decision and the connection.
func (t *tunnel) dial(rule policy.Rule) (mux.Half, error) {
	ctx, cancel := context.WithTimeout(t.ctx, targetTimeout)
	defer cancel()
	target := t.grant.Target
	addresses, err := t.resolve(ctx, target.Host)
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "%s cannot be resolved at the device", target.Host)
	}
	denied, err := 0, errNoAddress
	for _, a := range addresses {
		if !rule.Reaches(a) {
			denied++
			continue
		}
		conn, errDial := t.tunnels.config.Dial(ctx, netip.AddrPortFrom(a.Unmap(), target.Port))
		if errDial != nil {
			err = errDial
			continue
		}
		if half, ok := conn.(mux.Half); ok {
			return t.secure(ctx, half, rule)
		}
		_ = conn.Close()
	}
	if denied > 0 && errors.Is(err, errNoAddress) {
		return nil, errs.E(wire.Denied, "%s leads to an address that the device's policy does not allow", target.Host)
	}
	return nil, errs.As(wire.Unavailable, err, "%s does not answer at the device", target)
}

var errNoAddress = errors.New("no address")

func (t *tunnel) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	return t.tunnels.config.Resolve(ctx, host)
}

// limited keeps to a rate; nil: to none.
func (t *tunnel) limited(c mux.Half, to *rate.Limiter) mux.Half {
	if to == nil {
		return c
	}
	return mux.Metered{Half: c, Passed: func(n int) error {
		for n > 0 {
			some := min(n, to.Burst())
			if err := to.WaitN(t.ctx, some); err != nil {
				return err
			}
			n -= some
		}
		return nil
	}}
}
