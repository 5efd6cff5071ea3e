package gateway

import (
	"context"
	"net"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// Enter gives the user's end of a tunnel whose pass says that the server itself is that end. It waits until the device has
// come and the opening is on record. All limits hold; what goes through is counted as it is between two sockets. The
// session ends with the tunnel, and closing it ends the tunnel; so one who shares it does not close it.
func (g *Gateway) Enter(ctx context.Context, id string) (mux.Session, error) {
	g.mu.Lock()
	t := g.tunnels[id]
	g.mu.Unlock()
	if t == nil || t.inside == nil {
		return nil, errOver
	}
	select {
	case <-t.inside.met:
		return t.inside, nil
	case <-t.ctx.Done():
		return nil, errOver
	case <-ctx.Done():
		return nil, errs.As(wire.Canceled, ctx.Err(), "")
	}
}

var errOver = errs.E(wire.Unavailable, "the tunnel has ended")

// inside is the user's end where that is in this process.
type inside struct {
	tunnel *tunnel
	met    chan struct{} // closed when device is there
	device mux.Session
	room   chan struct{} // a token for each stream that is open
}

var _ mux.Session = (*inside)(nil)

func newInside(t *tunnel) *inside {
	return &inside{tunnel: t, met: make(chan struct{}), room: make(chan struct{}, t.pass.MaxStreams)}
}

// Open opens a stream to the device's target; kind Exhausted where the tunnel has as many as it may.
func (s *inside) Open(ctx context.Context) (mux.Stream, error) {
	select {
	case s.room <- struct{}{}:
	default:
		return nil, errs.E(wire.Exhausted, "the tunnel has %d connections open, and may have no more", cap(s.room))
	}
	stream, err := s.device.Open(ctx)
	if err != nil {
		<-s.room
		return nil, err
	}
	s.tunnel.begun.Add(1)
	s.tunnel.open.Add(1)
	return &insideStream{Stream: &metered{stream, s.tunnel, &s.tunnel.back}, end: sync.OnceFunc(func() {
		s.tunnel.open.Add(-1)
		<-s.room
	}), tunnel: s.tunnel}, nil
}

// Accept waits for the end of the tunnel: a device opens no streams.
func (s *inside) Accept() (mux.Stream, error) {
	<-s.Done()
	return nil, errOver
}

// Close ends the tunnel.
func (s *inside) Close() {
	s.tunnel.end(UserLeft)
	<-s.device.Done()
}

// Done is closed when the tunnel ends.
func (s *inside) Done() <-chan struct{} { return s.tunnel.ctx.Done() }

// insideStream counts what is written, too: nothing copies it from another.
type insideStream struct {
	mux.Stream
	tunnel *tunnel
	end    func()
}

var _ net.Conn = (*insideStream)(nil)

// Write writes at the rate that the tunnel may have.
func (s *insideStream) Write(b []byte) (written int, err error) {
	for first := true; first || len(b) > 0; first = false {
		n, err := s.Stream.Write(b[:min(len(b), step)])
		written, b = written+n, b[n:]
		if err == nil {
			err = s.tunnel.passed(&s.tunnel.there, n)
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Close ends both directions.
func (s *insideStream) Close() error {
	defer s.end()
	return s.Stream.Close()
}

// Reset breaks both directions off.
func (s *insideStream) Reset() error {
	defer s.end()
	return s.Stream.Reset()
}

// passed counts bytes of one direction and waits until the rate allows more.
func (t *tunnel) passed(w *way, n int) error {
	if n == 0 {
		return nil
	}
	w.bytes.Add(int64(n))
	t.active.Store(time.Now().UnixNano())
	for w.limiter != nil && n > 0 {
		some := min(n, w.limiter.Burst())
		if err := w.limiter.WaitN(t.ctx, some); err != nil {
			return err
		}
		n -= some
	}
	return nil
}
