package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ends are the commands of another program's tunnel. The user has none where users connect to the server itself.
type ends struct{ server, device, user []string }

// ports are where such a tunnel listens: the server on its host, what the user connects to, and what the device has the
// server listen on where that is not the user's.
type ports struct{ host, server, user, device string }

func newPorts(far *link) (ports, error) {
	server, errServer := freePort(far.server())
	user, errUser := freePort("127.0.0.1")
	device, errDevice := freePort("127.0.0.1")
	return ports{far.server(), server, user, device}, errors.Join(errServer, errUser, errDevice)
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

// foreign starts the ends of another program's tunnel and waits until it carries a byte there and back.
func (b *bench) foreign(ctx context.Context, name string, far *link, commands func(ports) (ends, error)) (*subject, error) {
	at, err := newPorts(far)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	e, err := commands(at)
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, addr: "127.0.0.1:" + at.user}
	if s.server, err = b.start(nil, name+"-server", e.server[0], e.server[1:]...); err != nil {
		return nil, err
	}
	if err := listens(ctx, net.JoinHostPort(at.host, at.server)); err != nil {
		return nil, s.server.lastWords(err)
	}
	if s.agent, err = b.start(far, name+"-agent", e.device[0], e.device[1:]...); err != nil {
		return nil, err
	}
	if e.user != nil {
		if s.user, err = b.start(nil, name+"-user", e.user[0], e.user[1:]...); err != nil {
			return nil, err
		}
	}
	if err := await(ctx, s.addr+" does not answer", func() bool { _, err := firstByte(s); return err == nil }); err != nil {
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
	return b.foreign(ctx, sshR, far, func(at ports) (e ends, err error) {
		e.server = []string{"/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null"}
		for _, option := range []string{
			"Port=" + at.server, "ListenAddress=" + at.host, "HostKey=" + host, "AuthorizedKeysFile=" + own + ".pub", "StrictModes=no", "PidFile=none",
			"PermitRootLogin=yes", "UsePAM=no", "AllowTcpForwarding=yes",
		} {
			e.server = append(e.server, "-o", option)
		}
		e.device = []string{
			"/usr/bin/ssh", "-N", "-F", "/dev/null", "-i", own, "-p", at.server, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:" + at.user + ":" + target, at.host,
		}
		return e, nil
	})
}

// chiselRoute has the device's chisel listen at the server, and the user's reach that, unless users do so themselves.
func (b *bench) chiselRoute(clear bool) route {
	return func(ctx context.Context, far *link, target string) (*subject, error) {
		name := map[bool]string{false: chisel, true: chiselClear}[clear]
		return b.foreign(ctx, name, far, func(at ports) (e ends, err error) {
			program := os.Getenv("CHISEL_BIN")
			client := func(remote string) []string {
				return []string{program, "client", "--tls-ca", b.files.CA, "https://" + net.JoinHostPort(at.host, at.server), remote}
			}
			e.server = []string{program, "server", "--host", at.host, "--port", at.server, "--reverse", "--tls-cert", b.files.Cert, "--tls-key", b.files.Key}
			if clear {
				e.device = client("R:127.0.0.1:" + at.user + ":" + target)
				return e, nil
			}
			e.device = client("R:127.0.0.1:" + at.device + ":" + target)
			e.user = client("127.0.0.1:" + at.user + ":127.0.0.1:" + at.device)
			return e, nil
		})
	}
}

// frpRoute has a visitor of frp at the user's end (a proxy of type stcp), unless users connect to frps (of type tcp).
func (b *bench) frpRoute(clear bool) route {
	return func(ctx context.Context, far *link, target string) (*subject, error) {
		name := map[bool]string{false: frp, true: frpClear}[clear]
		dir, err := os.MkdirTemp(b.dir, "frp-")
		if err != nil {
			return nil, err
		}
		return b.foreign(ctx, name, far, func(at ports) (e ends, err error) {
			const token = "auth.token = \"bench\"\n"
			var failed []error
			command := func(program, name, text string) []string {
				file := filepath.Join(dir, name)
				failed = append(failed, os.WriteFile(file, []byte(text), 0o600))
				return []string{os.Getenv(program), "-c", file}
			}
			client := fmt.Sprintf("serverAddr = %q\nserverPort = %s\n%stransport.protocol = \"websocket\"\ntransport.tls.enable = true\n", at.host, at.server, token)
			host, port, _ := strings.Cut(target, ":")
			proxy := client + fmt.Sprintf("[[proxies]]\nname = \"bench\"\nlocalIP = %q\nlocalPort = %s\n", host, port)
			e.server = command("FRPS_BIN", "frps.toml", fmt.Sprintf("bindAddr = %q\nbindPort = %s\nproxyBindAddr = \"127.0.0.1\"\n%s", at.host, at.server, token))
			if clear {
				e.device = command("FRPC_BIN", "frpc.toml", proxy+"type = \"tcp\"\nremotePort = "+at.user+"\n")
				return e, errors.Join(failed...)
			}
			e.device = command("FRPC_BIN", "frpc.toml", proxy+"type = \"stcp\"\nsecretKey = \"bench\"\n")
			e.user = command("FRPC_BIN", "visitor.toml", client+"[[visitors]]\nname = \"visitor\"\ntype = \"stcp\"\nserverName = \"bench\"\nsecretKey = \"bench\"\n"+
				"bindAddr = \"127.0.0.1\"\nbindPort = "+at.user+"\n")
			return e, errors.Join(failed...)
		})
	}
}
