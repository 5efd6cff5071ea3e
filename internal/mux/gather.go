package mux

import (
	"net"
	"sync"
)

// gatherer is a TCP connection below TLS that can be told to wait with what is written until more has come: a record takes a
// system call of its own otherwise. TLS writes one record at a time, and mux alone tells it to wait.
type gatherer struct {
	*net.TCPConn
	mu      sync.Mutex // guards what follows
	holding bool
	held    []byte
}

// most is what a gatherer holds before it writes.
const mostHeld = 64 << 10

func (g *gatherer) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.holding && len(g.held) == 0 {
		return g.TCPConn.Write(b)
	}
	g.held = append(g.held, b...)
	if g.holding && len(g.held) < mostHeld {
		return len(b), nil
	}
	return len(b), g.flush()
}

// hold has writes wait, or has what waits written. A nil gatherer has nothing to do with it.
func (g *gatherer) hold(on bool) error {
	if g == nil || on == g.holding {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holding = on; on {
		return nil
	}
	return g.flush()
}

func (g *gatherer) holds() bool { return g != nil && g.holding }

func (g *gatherer) flush() error {
	if len(g.held) == 0 {
		return nil
	}
	_, err := g.TCPConn.Write(g.held)
	g.held = g.held[:0]
	return err
}

// gathererOf finds the gatherer below a connection; nil where there is none.
func gathererOf(c net.Conn) *gatherer {
	for c != nil {
		if g, ok := c.(*gatherer); ok {
			return g
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = below.NetConn()
	}
	return nil
}
