package main

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// rawSocketMagic is the first octet of every rawsocket connection, and of no HTTP request.
	rawSocketMagic = 0x7f
	// firstByte is how long a connection may take to show what it is.
	firstByte = 5 * time.Second
)

// split shares one port between HTTP and rawsocket, as suites expect of it.
type split struct {
	listener  net.Listener
	web, raw  *half
	undecided sync.WaitGroup
}

// newSplit splits what the listener accepts. Serve does it.
func newSplit(l net.Listener) *split {
	closed := make(chan struct{})
	part := func() *half { return &half{addr: l.Addr(), conns: make(chan net.Conn), closed: closed} }
	return &split{listener: l, web: part(), raw: part()}
}

// serve hands connections to the halves until the listener is closed; then both halves are closed.
func (s *split) serve() error {
	defer s.undecided.Wait()
	defer close(s.web.closed)
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		s.undecided.Go(func() { s.decide(c) })
	}
}

func (s *split) decide(c net.Conn) {
	p := &peeked{Conn: c}
	_ = c.SetReadDeadline(time.Now().Add(firstByte))
	if _, err := c.Read(p.first[:]); err != nil {
		_ = c.Close() // it has said nothing: there is nothing to answer
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	to := s.web
	if p.first[0] == rawSocketMagic {
		to = s.raw
	}
	select {
	case to.conns <- p:
	case <-to.closed:
		_ = c.Close() // the server is going
	}
}

// half is the listener for one of two protocols.
type half struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{} // of both halves
}

func (h *half) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *half) Close() error   { return nil } // the shared listener's owner closes that
func (h *half) Addr() net.Addr { return h.addr }

// peeked is a connection of which the first byte has been read.
type peeked struct {
	net.Conn
	first [1]byte
	given bool
}

func (p *peeked) Read(b []byte) (int, error) {
	if p.given || len(b) == 0 {
		return p.Conn.Read(b)
	}
	p.given = true
	return copy(b, p.first[:]), nil
}

// CloseWrite closes the writing half.
func (p *peeked) CloseWrite() error {
	if h, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}
