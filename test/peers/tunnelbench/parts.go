package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"bulkhead/agent/footprint"
	"bulkhead/agent/state"
	"bulkhead/agent/tunnel"
	"bulkhead/internal/heap"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/router/gateway"
	"bulkhead/wire"
)

// parts are the processes of a tunnel: the code that the programs run, without the API, the database and the control
// connection around it. Each is told what to do by lines of JSON, and ends with the one who tells it.
var parts = map[string]func(args []string) error{
	"gateway": gatewayPart, "agent": agentPart, "user": userPart,
	"floor-gateway": floorGatewayPart, "floor-agent": floorAgentPart, "floor-user": floorUserPart,
}

// order is what the gateway is told.
type order struct {
	Listen, Certificate, Key string // to begin with
	Admit, Enter, End        string // id of a tunnel
	Streams                  int
	Inside                   bool // users connect to the gateway itself
}

type gatewayAnswer struct{ Addr, User, Device string }

type quietEvents struct{}

func (quietEvents) Opened(context.Context, string) error            { return nil }
func (quietEvents) Streams(context.Context, string, int, int)       {}
func (quietEvents) Closed(context.Context, string, gateway.Closing) {}

// orders has each line of standard input answered.
func orders[Q, A any](answer func(Q) (A, error)) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q Q
		if err := in.Decode(&q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		a, err := answer(q)
		if err == nil {
			err = out.Encode(a)
		}
		if err != nil {
			return err
		}
	}
}

func gatewayPart([]string) error {
	heap.Reserve(heap.Spare)
	g := gateway.New(gateway.Config{Events: quietEvents{}, Log: slog.New(slog.DiscardHandler)})
	return orders(func(o order) (gatewayAnswer, error) {
		switch {
		case o.Listen != "":
			l, err := net.Listen("tcp", o.Listen)
			if err != nil {
				return gatewayAnswer{}, err
			}
			srv := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
			go func() { _ = srv.ServeTLS(mux.Listen(l), o.Certificate, o.Key) }() // ends with the process
			_, port, _ := net.SplitHostPort(l.Addr().String())
			return gatewayAnswer{Addr: port}, nil
		case o.Enter != "":
			session, err := g.Enter(context.Background(), o.Enter)
			if err != nil {
				return gatewayAnswer{}, err
			}
			addr, err := listen(session, func(s mux.Stream) (mux.Stream, error) { return s, nil })
			return gatewayAnswer{Addr: addr}, err
		case o.End != "":
			g.End(o.End, gateway.Shutdown)
			return gatewayAnswer{}, nil
		default:
			tickets, err := g.Admit(gateway.Pass{ID: o.Admit, Expires: time.Now().Add(time.Hour), Idle: time.Hour, MaxStreams: o.Streams, Inside: o.Inside})
			return gatewayAnswer{User: string(tickets.User.Reveal()), Device: string(tickets.Device.Reveal())}, err
		}
	})
}

// device is what the agent is told first.
type device struct {
	GrantKey               ed25519.PublicKey
	Authority, State, File string
	Key                    []byte
}

type agentOrder struct {
	Device *device
	Open   *wire.TunnelOpenRequest
}

const (
	projectKey, deviceKey = 11, 33
	serial                = wire.Serial("3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f")
)

func agentPart([]string) error {
	footprint.Reduce(os.Getenv)
	var tunnels *tunnel.Tunnels
	return orders(func(o agentOrder) (reply wire.TunnelOpenReply, err error) {
		if o.Open != nil {
			return tunnels.Open(context.Background(), *o.Open)
		}
		roots, err := pool(o.Device.Authority)
		if err != nil {
			return reply, err
		}
		dir, err := state.Open(o.Device.State)
		if err != nil {
			return reply, err
		}
		tunnels = tunnel.New(tunnel.Config{
			Project: projectKey, Device: deviceKey, Serial: serial, GrantKey: o.Device.GrantKey, Authority: roots, Used: dir,
			Identity:   sync.OnceValues(func() (mux.Identity, error) { return mux.ParseIdentity(o.Device.Key) }),
			PolicyFile: o.Device.File, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
		return reply, nil
	})
}

func pool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return roots, err
}

// userOrder is what the user's end is told.
type userOrder struct{ Tunnel, URL, Ticket, Authority, Device, Answer, Terms string }

type userAnswer struct{ Key, Hello, Addr string }

// userPart forwards a port as `bulkhead tunnel open` does. Without a device's key it is not encrypted from end to end.
func userPart([]string) error {
	end, err := mux.NewUserEnd()
	if err != nil {
		return err
	}
	defer end.Close()
	return orders(func(o userOrder) (userAnswer, error) {
		if o.URL == "" {
			return userAnswer{Key: end.Key(), Hello: end.Hello()}, nil
		}
		seal := func(s mux.Stream) (mux.Stream, error) { return s, nil }
		if o.Device != "" {
			if err := end.Meet(o.Answer, o.Device, o.Terms); err != nil {
				return userAnswer{}, err
			}
			seal = end.Seal
		}
		roots, err := pool(o.Authority)
		if err != nil {
			return userAnswer{}, err
		}
		session, err := enter(o.URL, o.Ticket, roots)
		if err != nil {
			return userAnswer{}, err
		}
		addr, err := listen(session, seal)
		return userAnswer{Addr: addr}, err
	})
}

// enter opens a user's end.
func enter(url, ticket string, roots *x509.CertPool) (mux.Session, error) {
	ws, err := mux.Dial(context.Background(), mux.Door{URL: url, Ticket: secret.FromString(ticket), TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}})
	if err != nil {
		return nil, err
	}
	return mux.Client(ws, mux.Config{Window: 16 << 20, Budget: 64 << 20})
}

// listen forwards a port and says which.
func listen(session mux.Session, seal func(mux.Stream) (mux.Stream, error)) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go forward(l, session, seal) // ends with the process
	return l.Addr().String(), nil
}

func forward(l net.Listener, session mux.Session, seal func(mux.Stream) (mux.Stream, error)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			s, err := session.Open(context.Background())
			if err == nil {
				s, err = seal(s)
			}
			if err != nil {
				mux.Break(conn)
				return
			}
			defer s.Close()
			_, _, _ = mux.Pipe(conn.(*net.TCPConn), s) //nolint:forcetypeassert // it came from a TCP listener
		}()
	}
}
