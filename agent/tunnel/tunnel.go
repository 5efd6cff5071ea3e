// Package tunnel is the device's end of tunnels.
//
// It promises that the device listens on nothing and dials nobody but the gateway that a grant names and the targets that
// the device's own policy allows; that a grant counts only if the backend signed it, for this device, for now, and only
// once; that a policy which was changed holds for the next stream; that a name is dialled at an address which the policy
// allows, whatever it resolves to; that what is encrypted from end to end is read by the holder of the granted key alone;
// and that a tunnel ends with its time, with its gateway or when it is told to.
package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/agent/tunnel/recorder"
	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Used remembers grants across restarts.
type Used interface {
	// UseGrant reports whether the nonce is used for the first time, and remembers it until then; kind Denied where it was
	// granted before all that is remembered.
	UseGrant(nonce string, granted, until, now time.Time) (first bool, err error)
}

// Config is what a device knows. The first six are required.
type Config struct {
	Project   wire.Key
	Device    wire.Key
	Serial    wire.Serial
	GrantKey  ed25519.PublicKey
	Authority *x509.CertPool // that signs the gateway's certificate
	Used      Used
	Identity  func() (mux.Identity, error) // the device's key for encryption from end to end
	// Keep hands over chunks of recordings; nil: this device does not record.
	Keep recorder.Keep
	// PolicyFile is the policy of the device's owner; it is read for each opening and each stream.
	PolicyFile string
	Log        *slog.Logger

	Ping  time.Duration                         // how often the gateway must show that it is there; default 10 s
	Now   func() time.Time                      // default time.Now
	Proxy func(*http.Request) (*url.URL, error) // default http.ProxyFromEnvironment
	// WebAuthority has the authorities of web applications beside the device, default the system's.
	WebAuthority *x509.CertPool
	Resolve      func(ctx context.Context, host string) ([]netip.Addr, error)  // default the system's resolver
	Dial         func(ctx context.Context, a netip.AddrPort) (net.Conn, error) // default TCP
}

const (
	// clockSkew is how far the clocks of device and backend may be apart.
	clockSkew  = 2 * time.Minute
	maxTunnels = 16
	// defaultStreams is the most at once where the policy does not say: each may keep 256 KiB of the device's memory.
	defaultStreams = 64
	// What the agent keeps of streams that their targets do not read.
	window = 4 << 20
	memory = 8 << 20
)

// Tunnels are those that are open at a device. Make them with New and Stop them.
type Tunnels struct {
	config Config
	group  *lifecycle.Group

	mu   sync.Mutex // guards open
	open map[string]*tunnel
}

// New makes Tunnels of which none is open.
func New(c Config) *Tunnels {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Resolve == nil {
		c.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", a.String())
		}
	}
	return &Tunnels{config: c, group: lifecycle.NewGroup(context.Background()), open: map[string]*tunnel{}}
}

// Stop ends all tunnels and waits for that.
func (t *Tunnels) Stop() { t.group.Stop() }

// Open checks a grant and has the tunnel dial its gateway. It does not wait for that.
func (t *Tunnels) Open(_ context.Context, r wire.TunnelOpenRequest) (wire.TunnelOpenReply, error) {
	reply, err := t.admit(r)
	if err != nil {
		t.config.Log.Warn("a tunnel was refused", logkey.Reason, errs.UserText(err), logkey.Error, err)
	}
	return reply, err
}

func (t *Tunnels) admit(r wire.TunnelOpenRequest) (wire.TunnelOpenReply, error) {
	g, err := t.check(r.Grant)
	if err != nil {
		return wire.TunnelOpenReply{}, err
	}
	now := t.config.Now()
	if g.NotBefore > now.Add(clockSkew).UnixMilli() || g.OpenBy < now.Add(-clockSkew).UnixMilli() {
		return wire.TunnelOpenReply{}, errs.E(wire.Denied, "the grant is not for now: the device's clock says %s", now.UTC().Format(time.RFC3339))
	}
	granted := time.UnixMilli(g.NotBefore).Add(wire.GrantSkew)
	first, err := t.config.Used.UseGrant(g.Nonce, granted, time.UnixMilli(g.OpenBy).Add(2*clockSkew), now)
	if errs.KindOf(err) == wire.Denied {
		return wire.TunnelOpenReply{}, err
	}
	if err != nil {
		return wire.TunnelOpenReply{}, errs.As(wire.Unavailable, err, "the device cannot remember the grant, so it does not take it")
	}
	if !first {
		return wire.TunnelOpenReply{}, errs.E(wire.Denied, "the grant was used")
	}
	rule, err := t.ask(g)
	if err != nil {
		return wire.TunnelOpenReply{}, err
	}
	own, err := t.config.Identity()
	if err != nil {
		return wire.TunnelOpenReply{}, errs.As(wire.Unavailable, err, "the device has no key for encryption from end to end")
	}
	one := newTunnel(t, g, own, narrow(g, rule))
	recorded := g.Record || rule.Record
	answer, err := one.shake(r.Hello, recorded)
	if err == nil {
		err = t.start(one, secret.FromString(r.Ticket))
	}
	if err != nil {
		one.finish()
		return wire.TunnelOpenReply{}, err
	}
	return wire.TunnelOpenReply{
		Key: own.Fingerprint(), Answer: answer, MaxStreams: one.bounds.streams, Rate: one.bounds.rate, Recorded: recorded,
	}, nil
}

// check tells whether the backend has granted something to this device.
func (t *Tunnels) check(s wire.SignedGrant) (wire.Grant, error) {
	g, err := s.Verify(t.config.GrantKey)
	if err != nil {
		return g, errs.As(wire.Denied, err, "the grant is not the backend's")
	}
	if g.Project != t.config.Project || g.Device != t.config.Device || g.Serial != t.config.Serial {
		return g, errs.E(wire.Denied, "the grant is for another device")
	}
	now := t.config.Now()
	if expires := time.UnixMilli(g.Expires); !expires.After(now) || expires.After(now.Add(wire.MaxGrantLife+clockSkew)) {
		return g, errs.E(wire.Denied, "the grant has expired, or lasts too long: the device's clock says %s", now.UTC().Format(time.RFC3339))
	}
	return g, nil
}

// ask asks the policy as it is now.
func (t *Tunnels) ask(g wire.Grant) (policy.Rule, error) {
	p, err := policy.Read(t.config.PolicyFile)
	if err != nil {
		return policy.Rule{}, errs.As(wire.Denied, err, "the device's policy allows nothing: %s", err)
	}
	recordable := g.Target.Protocol == wire.ProtocolPTY && g.RecordKey != "" && t.config.Keep != nil
	if g.Record && !recordable {
		return policy.Rule{}, errs.E(wire.Denied, "%s cannot be recorded, which is asked for", g.Target)
	}
	a := p.Decide(policy.Question{Target: g.Target, EndToEnd: g.EndToEnd(), Recorded: recordable, At: t.config.Now()})
	if !a.Allowed {
		return policy.Rule{}, errs.E(wire.Denied, "%s; whoever owns the device says in %s there what is allowed, and bulkhead-agent policy check explains it",
			a.Reason, t.config.PolicyFile)
	}
	return a.Rule, nil
}

// bounds are what grant and policy both leave.
type bounds struct {
	streams int
	rate    int64
}

func narrow(g wire.Grant, r policy.Rule) bounds {
	b := bounds{min(g.MaxStreams, defaultStreams), g.Rate}
	if r.Streams > 0 {
		b.streams = min(g.MaxStreams, r.Streams)
	}
	if r.Rate > 0 && (b.rate == 0 || r.Rate < b.rate) {
		b.rate = r.Rate
	}
	return b
}

func (t *Tunnels) start(one *tunnel, ticket secret.Value) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.open) >= maxTunnels:
		return errs.E(wire.Exhausted, "the device has %d tunnels open already", maxTunnels)
	case t.open[one.grant.ID] != nil:
		return errs.E(wire.Conflict, "the tunnel is open")
	case !t.group.Go(func(ctx context.Context) { one.run(ctx, ticket) }):
		return errs.E(wire.Unavailable, "the agent is stopping")
	}
	t.open[one.grant.ID] = one
	return nil
}

// Extend lets an open tunnel last as long as a new grant says, if that grants the same.
func (t *Tunnels) Extend(_ context.Context, r wire.TunnelExtendRequest) error {
	g, err := t.check(r.Grant)
	if err != nil {
		return err
	}
	t.mu.Lock()
	one := t.open[g.ID]
	t.mu.Unlock()
	if one == nil {
		return errs.E(wire.NotFound, "no such tunnel is open at the device")
	}
	if g.Target != one.grant.Target || g.Record != one.grant.Record || g.RecordKey != one.grant.RecordKey || g.ClientKey != one.grant.ClientKey || g.By.Kind != one.grant.By.Kind || g.By.ID != one.grant.By.ID {
		return errs.E(wire.Denied, "the grant is of another tunnel")
	}
	if _, err := t.ask(g); err != nil {
		return err
	}
	one.expire(time.UnixMilli(g.Expires).Sub(t.config.Now()))
	return nil
}

// Close ends a tunnel. One that is not open is closed.
func (t *Tunnels) Close(_ context.Context, r wire.TunnelCloseRequest) error {
	t.mu.Lock()
	one := t.open[r.ID]
	t.mu.Unlock()
	if one != nil {
		one.stop()
	}
	return nil
}

func (t *Tunnels) forget(one *tunnel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, one.grant.ID)
}
