package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	"bulkhead/internal/mux"
)

// The floor is what it costs to forward and to do nothing else: TLS from the user's end to the gateway, TLS from there to the
// device, plain TCP at both ends. It has no frames, no windows, no turns and no limits, and it is no tunnel: each connection
// has connections of its own, of which the device always has one waiting.

// floorOrder is what a part of the floor is told: of where it listens or connects, only what it needs.
type floorOrder struct {
	Listen, Certificate, Key string // the gateway
	Server, Target           string // the device; the user has no target
	Authority                string
}

type floorAnswer struct{ Users, Devices string }

func floorGatewayPart([]string) error {
	return orders(func(o floorOrder) (a floorAnswer, err error) {
		pair, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
		if err != nil {
			return a, err
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}
		users, err := tls.Listen("tcp", o.Listen, config)
		if err != nil {
			return a, err
		}
		devices, err := tls.Listen("tcp", o.Listen, config)
		if err != nil {
			return a, err
		}
		go func() { // ends with the process
			for {
				user, errUser := users.Accept()
				device, errDevice := devices.Accept()
				if errUser != nil || errDevice != nil {
					return
				}
				go relay(user, device)
			}
		}()
		return floorAnswer{users.Addr().String(), devices.Addr().String()}, nil
	})
}

// floorAgentPart has one connection to the gateway wait: TLS shakes hands there when it is for somebody.
func floorAgentPart([]string) error {
	return orders(func(o floorOrder) (a floorAnswer, err error) {
		config, err := floorTLS(o)
		if err != nil {
			return a, err
		}
		go func() { // ends with the process
			for {
				gateway, err := tls.Dial("tcp", o.Server, config)
				if err != nil {
					return
				}
				target, err := net.Dial("tcp", o.Target)
				if err != nil {
					mux.Break(gateway)
					continue
				}
				go relay(gateway, target)
			}
		}()
		return a, nil
	})
}

func floorUserPart([]string) error {
	return orders(func(o floorOrder) (a floorAnswer, err error) {
		config, err := floorTLS(o)
		if err != nil {
			return a, err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return a, err
		}
		go func() { // ends with the process
			for {
				user, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					gateway, err := tls.Dial("tcp", o.Server, config)
					if err != nil {
						mux.Break(user)
						return
					}
					relay(user, gateway)
				}()
			}
		}()
		return floorAnswer{Users: l.Addr().String()}, nil
	})
}

func floorTLS(o floorOrder) (*tls.Config, error) {
	roots, err := pool(o.Authority)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}, err
}

// relay copies between two connections until both directions have ended.
func relay(a, b net.Conn) {
	there := make(chan struct{})
	go func() {
		defer close(there)
		copyOne(b, a)
	}()
	copyOne(a, b)
	<-there
	_ = a.Close()
	_ = b.Close()
}

// copyOne copies one direction, and passes its end on. It reads and writes itself: what net does for a socket is a smaller buffer.
func copyOne(to, from net.Conn) {
	const enough = 64 << 10
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, enough))
	if err == nil {
		err = to.(interface{ CloseWrite() error }).CloseWrite() //nolint:forcetypeassert // of TCP, or of TLS
	}
	if err != nil {
		mux.Break(to)
		mux.Break(from)
	}
}

func (b *bench) floorRoute(_ context.Context, far *link, target string) (*subject, error) {
	s := &subject{name: floor}
	var err error
	if s.server, err = b.start(nil, "floor-gateway", b.self, "floor-gateway"); err != nil {
		return nil, err
	}
	at, err := ask[floorAnswer](s.server, floorOrder{Listen: far.server() + ":0", Certificate: b.files.Cert, Key: b.files.Key})
	if err != nil {
		return nil, err
	}
	if s.agent, err = b.start(far, "floor-agent", b.self, "floor-agent"); err != nil {
		return nil, err
	}
	if _, err := ask[floorAnswer](s.agent, floorOrder{Server: at.Devices, Target: target, Authority: b.files.CA}); err != nil {
		return nil, err
	}
	if s.user, err = b.start(nil, "floor-user", b.self, "floor-user"); err != nil {
		return nil, err
	}
	here, err := ask[floorAnswer](s.user, floorOrder{Server: at.Users, Authority: b.files.CA})
	s.addr = here.Users
	return s, err
}
