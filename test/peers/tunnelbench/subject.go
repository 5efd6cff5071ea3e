package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// subject is a way from a port here to a target at the device.
type subject struct {
	name          string
	addr          string // where users connect
	server, agent *child
	user          *child // a process at the user's side; nil where there is none
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
)

// routes are the subjects that can run here, in the order of the tables, and the floor, which is in few.
func (b *bench) routes() (names []string, by map[string]route) {
	by = map[string]route{ours: b.oursRoute(true), oursOpen: b.oursRoute(false), floor: b.floorRoute}
	names = []string{ours, oursOpen}
	add := func(name string, r route, programs ...string) {
		for _, p := range programs {
			if info, err := os.Stat(p); err != nil || info.IsDir() {
				return
			}
		}
		names, by[name] = append(names, name), r
	}
	add(sshR, b.sshRoute, "/usr/sbin/sshd")
	add(frp, b.frpRoute, os.Getenv("FRPC_BIN"), os.Getenv("FRPS_BIN"))
	add(chisel, b.chiselRoute, os.Getenv("CHISEL_BIN"))
	return names, by
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

// open opens a tunnel and gives the user's ticket.
func (p *pair) open(target string, end userAnswer) (o userOrder, err error) {
	p.opened++
	id := fmt.Sprintf("T%d", p.opened)
	tickets, err := ask[gatewayAnswer](p.gateway, order{Admit: id, Streams: 256})
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
	return userOrder{URL: p.url(p.far.server(), wire.TunnelPathUser), Ticket: tickets.User, Answer: reply.Answer, Terms: wire.TunnelTerms(to, reply.Recorded)}, err
}

func (p *pair) url(host, path string) string { return "wss://" + net.JoinHostPort(host, p.port) + path }

func (b *bench) oursRoute(endToEnd bool) route {
	return func(_ context.Context, far *link, target string) (*subject, error) {
		p, err := b.newPair(far)
		if err != nil {
			return nil, err
		}
		name := map[bool]string{true: ours, false: oursOpen}[endToEnd]
		s := &subject{name: name, server: p.gateway, agent: p.agent}
		s.user, s.addr, err = b.newUser(p, target, endToEnd)
		return s, err
	}
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
	o, err := p.open(target, end)
	if err != nil {
		return nil, "", err
	}
	if o.Authority = b.files.CA; endToEnd {
		o.Device = p.device
	}
	at, err := ask[userAnswer](user, o)
	return user, at.Addr, err
}

// listens waits for a port of a program that is not ours.
func listens(ctx context.Context, addr string) error {
	return await(ctx, addr+" is not listened on", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
}

func freePort(host string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// foreign starts another program's two ends: a server here and a client at the device, which makes it listen.
func (b *bench) foreign(ctx context.Context, name string, far *link, commands func(server, port, user string) (there, here []string, err error)) (*subject, error) {
	port, errPort := freePort(far.server())
	user, errUser := freePort("127.0.0.1")
	if errPort != nil || errUser != nil {
		return nil, fmt.Errorf("%s: %w, %w", name, errPort, errUser)
	}
	serverArgs, agentArgs, err := commands(far.server(), port, user)
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, addr: "127.0.0.1:" + user}
	if s.server, err = b.start(nil, name+"-server", serverArgs[0], serverArgs[1:]...); err != nil {
		return nil, err
	}
	if err := listens(ctx, net.JoinHostPort(far.server(), port)); err != nil {
		return nil, s.server.lastWords(err)
	}
	if s.agent, err = b.start(far, name+"-agent", agentArgs[0], agentArgs[1:]...); err != nil {
		return nil, err
	}
	if err := listens(ctx, s.addr); err != nil {
		return nil, s.agent.lastWords(err)
	}
	return s, nil
}

func (c *child) lastWords(err error) error {
	words, _ := os.ReadFile(c.log)
	return fmt.Errorf("%w\n%s", err, words)
}

func (b *bench) sshRoute(ctx context.Context, far *link, target string) (*subject, error) {
	dir, err := os.MkdirTemp(b.dir, "ssh-")
	if err != nil {
		return nil, err
	}
	host, own := filepath.Join(dir, "host"), filepath.Join(dir, "own")
	for _, file := range []string{host, own} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil { //nolint:gosec // names of ours
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	if os.Geteuid() == 0 {
		_ = os.MkdirAll("/run/sshd", 0o755) //nolint:gosec // where Debian's sshd wants it
	}
	return b.foreign(ctx, sshR, far, func(server, port, user string) (there, here []string, err error) {
		there = []string{"/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null"}
		for _, option := range []string{
			"Port=" + port, "ListenAddress=" + server, "HostKey=" + host, "AuthorizedKeysFile=" + own + ".pub", "StrictModes=no", "PidFile=none",
			"PermitRootLogin=yes", "UsePAM=no", "AllowTcpForwarding=yes",
		} {
			there = append(there, "-o", option)
		}
		here = []string{
			"/usr/bin/ssh", "-N", "-F", "/dev/null", "-i", own, "-p", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:" + user + ":" + target, server,
		}
		return there, here, nil
	})
}

func (b *bench) chiselRoute(ctx context.Context, far *link, target string) (*subject, error) {
	program := os.Getenv("CHISEL_BIN")
	return b.foreign(ctx, chisel, far, func(server, port, user string) (there, here []string, err error) {
		there = []string{program, "server", "--host", server, "--port", port, "--reverse", "--tls-cert", b.files.Cert, "--tls-key", b.files.Key}
		here = []string{program, "client", "--tls-ca", b.files.CA, "https://" + net.JoinHostPort(server, port), "R:127.0.0.1:" + user + ":" + target}
		return there, here, nil
	})
}

func (b *bench) frpRoute(ctx context.Context, far *link, target string) (*subject, error) {
	dir, err := os.MkdirTemp(b.dir, "frp-")
	if err != nil {
		return nil, err
	}
	write := func(name, text string) (string, error) {
		file := filepath.Join(dir, name)
		return file, os.WriteFile(file, []byte(text), 0o600)
	}
	return b.foreign(ctx, frp, far, func(server, port, user string) (there, here []string, err error) {
		token := "auth.token = \"bench\"\n"
		frps, err := write("frps.toml", fmt.Sprintf("bindAddr = %q\nbindPort = %s\nproxyBindAddr = \"127.0.0.1\"\n%s", server, port, token))
		if err != nil {
			return nil, nil, err
		}
		host, at, _ := strings.Cut(target, ":")
		frpc, err := write("frpc.toml", fmt.Sprintf("serverAddr = %q\nserverPort = %s\n%stransport.protocol = \"websocket\"\ntransport.tls.enable = true\n"+
			"[[proxies]]\nname = \"bench\"\ntype = \"tcp\"\nlocalIP = %q\nlocalPort = %s\nremotePort = %s\n", server, port, token, host, at, user))
		return []string{os.Getenv("FRPS_BIN"), "-c", frps}, []string{os.Getenv("FRPC_BIN"), "-c", frpc}, err
	})
}

func (s *subject) close() {
	for _, c := range []*child{s.user, s.agent, s.server} {
		if c != nil {
			c.stop()
		}
	}
}
