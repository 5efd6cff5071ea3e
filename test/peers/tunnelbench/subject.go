package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// subject is a way from a port here to a target at the device.
type subject struct {
	name          string
	addr          string // where users connect
	server, agent *child
	user          *child // a process at the user's side; nil where users connect to the server itself
	own           bool   // a tunnel of ours, which has goals
}

// route makes a subject: to a target at the far end of a link, or here.
type route func(ctx context.Context, far *link, target string) (*subject, error)

const (
	ours     = "bulkhead, end to end"
	oursOpen = "bulkhead, to the gateway"
	sshR     = "ssh -R"
	chisel   = "chisel"
	frp      = "frp over WebSocket"
	floor    = "the floor: TLS in, TLS out"
	// In the clear from the user to the server: no tunnel to a user who is elsewhere.
	oursClear   = "bulkhead, users in the clear"
	chiselClear = "chisel, users in the clear"
	frpClear    = "frp, users in the clear"
)

// routes are the subjects that can run here, in the order of the tables; by has some more, which are in few.
func (b *bench) routes() (names []string, by map[string]route) {
	by = map[string]route{ours: b.oursRoute(true), oursOpen: b.oursRoute(false), oursClear: b.clearRoute, floor: b.floorRoute}
	names = []string{ours, oursOpen}
	if programs("/usr/sbin/sshd") {
		names, by[sshR] = append(names, sshR), b.sshRoute
	}
	if programs(os.Getenv("FRPC_BIN"), os.Getenv("FRPS_BIN")) {
		names, by[frp], by[frpClear] = append(names, frp), b.frpRoute(false), b.frpRoute(true)
	}
	if programs(os.Getenv("CHISEL_BIN")) {
		names, by[chisel], by[chiselClear] = append(names, chisel), b.chiselRoute(false), b.chiselRoute(true)
	}
	return names, by
}

// programs reports whether all of the files are there.
func programs(files ...string) bool {
	return !slices.ContainsFunc(files, func(file string) bool {
		info, err := os.Stat(file)
		return err != nil || info.IsDir()
	})
}

const policyText = "version: 1\nallow:\n  - {protocol: tcp, hosts: [127.0.0.1], ports: ['1-65535'], max_streams: 256}\n"

// pair is a gateway and an agent.
type pair struct {
	gateway, agent *child
	port           string
	far            *link
	key            ed25519.PrivateKey
	device         string // fingerprint
	opened         int
}

// newPair starts a gateway here and an agent at the far end.
func (b *bench) newPair(far *link) (*pair, error) {
	p := &pair{far: far}
	var err error
	if p.gateway, err = b.start(nil, "gateway", b.self, "gateway"); err != nil {
		return nil, err
	}
	at, err := ask[gatewayAnswer](p.gateway, order{Listen: far.server() + ":0", Certificate: b.files.Cert, Key: b.files.Key})
	if err != nil {
		return nil, err
	}
	p.port = at.Addr
	if p.agent, err = b.start(far, "agent", b.self, "agent"); err != nil {
		return nil, err
	}
	device, file, err := b.newDevice(p)
	if err != nil {
		return nil, err
	}
	device.File = file
	_, err = ask[wire.TunnelOpenReply](p.agent, agentOrder{Device: &device})
	return p, err
}

func (b *bench) newDevice(p *pair) (device, string, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return device{}, "", err
	}
	own, err := mux.NewIdentity()
	if err != nil {
		return device{}, "", err
	}
	der, err := own.Marshal()
	if err != nil {
		return device{}, "", err
	}
	p.key, p.device = private, own.Fingerprint()
	file := filepath.Join(b.dir, "policy.yaml")
	state := filepath.Join(b.dir, fmt.Sprintf("state-%d", b.started))
	return device{GrantKey: public, Authority: b.files.CA, State: state, Key: der}, file, os.WriteFile(file, []byte(policyText), 0o600)
}

// open opens a tunnel and gives the user's ticket, unless users connect to the gateway itself.
func (p *pair) open(target string, end userAnswer, inside bool) (o userOrder, err error) {
	p.opened++
	id := fmt.Sprintf("T%d", p.opened)
	tickets, err := ask[gatewayAnswer](p.gateway, order{Admit: id, Streams: 256, Inside: inside})
	if err != nil {
		return o, err
	}
	to, err := wire.ParseTarget(target)
	if err != nil {
		return o, err
	}
	now := time.Now()
	signed, err := wire.SignGrant(p.key, wire.Grant{
		Version: wire.Version, ID: id, Project: projectKey, Device: deviceKey, Serial: serial,
		By: wire.Grantee{Kind: "user", ID: "7", Method: "second_factor"}, Target: to, ClientKey: end.Key,
		Gateway: p.url(p.far.server(), wire.TunnelPathDevice), NotBefore: now.Add(-time.Second).UnixMilli(), OpenBy: now.Add(time.Minute).UnixMilli(),
		Expires: now.Add(time.Hour).UnixMilli(), IdleSeconds: 900, MaxStreams: 256, Approvers: []string{}, Nonce: fmt.Sprintf("nonce of the tunnel %s %d", id, now.UnixNano()),
	})
	if err != nil {
		return o, err
	}
	reply, err := ask[wire.TunnelOpenReply](p.agent, agentOrder{Open: &wire.TunnelOpenRequest{Grant: signed, Ticket: tickets.Device, Hello: end.Hello}})
	return userOrder{Tunnel: id, URL: p.url(p.far.server(), wire.TunnelPathUser), Ticket: tickets.User, Answer: reply.Answer, Terms: wire.TunnelTerms(to, reply.Recorded)}, err
}

func (p *pair) url(host, path string) string { return "wss://" + net.JoinHostPort(host, p.port) + path }

func (b *bench) oursRoute(endToEnd bool) route {
	return func(_ context.Context, far *link, target string) (*subject, error) {
		p, err := b.newPair(far)
		if err != nil {
			return nil, err
		}
		name := map[bool]string{true: ours, false: oursOpen}[endToEnd]
		s := &subject{name: name, server: p.gateway, agent: p.agent, own: true}
		s.user, s.addr, err = b.newUser(p, target, endToEnd)
		return s, err
	}
}

// clearRoute has the gateway be the user's end, as it is for web applications and terminals in the browser.
func (b *bench) clearRoute(_ context.Context, far *link, target string) (*subject, error) {
	p, err := b.newPair(far)
	if err != nil {
		return nil, err
	}
	o, err := p.open(target, userAnswer{}, true)
	if err != nil {
		return nil, err
	}
	at, err := ask[gatewayAnswer](p.gateway, order{Enter: o.Tunnel})
	return &subject{name: oursClear, addr: at.Addr, server: p.gateway, agent: p.agent, own: true}, err
}

// newUser opens a tunnel for a user's end of its own.
func (b *bench) newUser(p *pair, target string, endToEnd bool) (*child, string, error) {
	user, err := b.start(nil, "user", b.self, "user")
	if err != nil {
		return nil, "", err
	}
	end, err := ask[userAnswer](user, userOrder{})
	if err != nil {
		return nil, "", err
	}
	if !endToEnd {
		end = userAnswer{}
	}
	o, err := p.open(target, end, false)
	if err != nil {
		return nil, "", err
	}
	if o.Authority = b.files.CA; endToEnd {
		o.Device = p.device
	}
	at, err := ask[userAnswer](user, o)
	return user, at.Addr, err
}

func (s *subject) close() {
	for _, c := range []*child{s.user, s.agent, s.server} {
		if c != nil {
			c.stop()
		}
	}
}
