package isolation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/wampx"
)

// TestEveryByteBelowTLSIsPartOfARecord looks at what the router really sends: joins, events in bursts, kills and refusals, all
// through a proxy that reads the records' headers. One byte written beside TLS puts it out of step.
func TestEveryByteBelowTLSIsPartOfARecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newRecordProxy(t, strings.TrimSuffix(strings.TrimPrefix(w.url, "wss://"), "/ws"))
	w.url = "wss://" + p.addr + "/ws"
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			if err := w.talk(t.Context(), i); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	all.Wait()
	p.finish(t)
}

// talk subscribes, publishes a burst to everybody and leaves, is killed, or is refused.
func (w *world) talk(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, lineTimeout)
	defer cancel()
	if i%6 == 5 {
		if _, err := w.join(ctx, "thief-service", "a.data", wampx.JSON); err == nil {
			return errors.New("a thief joined")
		}
		return nil
	}
	s, err := w.join(ctx, "a/service", "a.data", wampx.JSON)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close(ctx) }() // it may have been killed
	if _, err := s.SubscribeURI(ctx, "com.example.", wampx.Prefix, func(context.Context, wampx.Event) {}); err != nil {
		return err
	}
	for n := range 200 {
		o := wampx.PublishOptions{Unacknowledged: n%20 != 0}
		if err := s.PublishURI(ctx, fmt.Sprintf("com.example.%d", n), []any{strings.Repeat("x", n*7)}, nil, o); err != nil {
			return err
		}
	}
	if i%6 == 4 {
		return w.router.Kill(s.Realm(), s.ID())
	}
	return nil
}

// recordProxy forwards TCP and reads the headers of the TLS records that come from the server (RFC 8446, section 5.1).
type recordProxy struct {
	addr     string
	listener net.Listener
	conns    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	records int
	fault   error
}

func newRecordProxy(t *testing.T, server string) *recordProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &recordProxy{addr: l.Addr().String(), listener: l}
	p.conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Go(func() { p.forward(client, server) })
		}
	})
	return p
}

func (p *recordProxy) forward(client net.Conn, server string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		p.fail(err)
		return
	}
	defer upstream.Close()
	p.conns.Go(func() {
		_, _ = io.Copy(upstream, client) // either side may leave at any moment
		_ = upstream.(*net.TCPConn).CloseWrite()
	})
	p.fail(p.readRecords(io.TeeReader(upstream, client)))
}

const (
	recordHeader = 5
	maxRecord    = 1<<14 + 256
)

// readRecords reads records to the end of one connection.
func (p *recordProxy) readRecords(r io.Reader) error {
	var header [recordHeader]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return nil // the connection has ended, in a record or between two: kills reset it
		}
		kind, length := header[0], int(binary.BigEndian.Uint16(header[3:]))
		if kind < 20 || kind > 23 || header[1] != 3 || length > maxRecord {
			return fmt.Errorf("no TLS record: %x", header)
		}
		if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
			return nil
		}
		p.mu.Lock()
		p.records++
		p.mu.Unlock()
	}
}

func (p *recordProxy) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = errors.Join(p.fault, err)
}

func (p *recordProxy) finish(t *testing.T) {
	t.Helper()
	_ = p.listener.Close()
	ended := make(chan struct{})
	go func() {
		p.conns.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(lineTimeout):
		t.Fatal("a connection did not end")
	}
	if p.fault != nil {
		t.Error(p.fault)
	}
	if p.records < 1000 {
		t.Errorf("only %d records were seen", p.records)
	}
}
