// Package mux carries many streams over one WebSocket, for tunnels.
//
// It promises that a stream's end comes through in each direction on its own, that one stream which nobody reads does not
// hold up the others, that a peer which is silent is noticed at both sides, that what a peer may make this side keep is
// bounded, and that the end of a session ends all of its streams.
package mux

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
	"github.com/libp2p/go-yamux/v5"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Stream is one of many connections.
type Stream interface {
	net.Conn
	// CloseWrite tells the other end that no more comes from this one; reading goes on.
	CloseWrite() error
	// Reset breaks both directions off.
	Reset() error
}

// Session is many streams over one connection.
type Session interface {
	Open(ctx context.Context) (Stream, error)
	// Accept waits for a stream that the other side opens. Its error is why the session is over.
	Accept() (Stream, error)
	// Close ends the session and its streams, and waits until its connection is closed. Closing twice is fine.
	Close()
	Done() <-chan struct{}
}

// Config bounds a session. All of it is required but Ping.
type Config struct {
	// Streams is the most that the other side may have open; 0: it opens none.
	Streams int
	// Window is the most of one stream that this side keeps unread; Budget is the most of all streams beyond the first
	// 256 KiB of each.
	Window, Budget int
	// Ping is how often the other side must show that it is there: after twice that in silence the session is over.
	// Default 10 s.
	Ping time.Duration
}

const defaultPing = 10 * time.Second

// Client makes the session of the side that dialled as a user, or that asks a device.
func Client(ws *websocket.Conn, c Config) (Session, error) { return start(ws, c, yamux.Client) }

// Server makes the session of the other side.
func Server(ws *websocket.Conn, c Config) (Session, error) { return start(ws, c, yamux.Server) }

type begin func(net.Conn, *yamux.Config, func() (yamux.MemoryManager, error)) (*yamux.Session, error)

func start(ws *websocket.Conn, c Config, begin begin) (Session, error) {
	if c.Ping <= 0 {
		c.Ping = defaultPing
	}
	budget := &budget{left: c.Budget}
	carrier := newCarrier(ws)
	session, err := begin(carrier, &yamux.Config{
		AcceptBacklog: max(1, min(c.Streams, 256)), PingBacklog: 32,
		EnableKeepAlive: true, KeepAliveInterval: c.Ping, MeasureRTTInterval: 30 * time.Second, ConnectionWriteTimeout: c.Ping,
		MaxIncomingStreams: uint32(c.Streams), InitialStreamWindowSize: initialWindow, MaxStreamWindowSize: uint32(max(c.Window, initialWindow+1)), //nolint:gosec // small
		LogOutput: io.Discard, MaxMessageSize: frame, WriteCoalesceDelay: 0,
	}, budget.manager)
	if err != nil {
		_ = carrier.Close()
		return nil, errs.As(wire.Internal, err, "")
	}
	return &overYamux{session}, nil
}

const (
	initialWindow = 256 << 10
	// frame is the most that one frame carries, so that a stream with little to say does not wait long for one with much,
	// and so that a frame fits into one TLS record with its heads.
	frame = 16<<10 - 32
)

// overYamux hides the library.
type overYamux struct{ session *yamux.Session }

func (s *overYamux) Open(ctx context.Context) (Stream, error) {
	stream, err := s.session.OpenStream(ctx)
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "the connection to the gateway is over")
	}
	return stream, nil
}

func (s *overYamux) Accept() (Stream, error) {
	stream, err := s.session.AcceptStream()
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "the connection to the gateway is over")
	}
	return stream, nil
}

func (s *overYamux) Close()                { _ = s.session.Close() } // it always succeeds
func (s *overYamux) Done() <-chan struct{} { return s.session.CloseChan() }
