package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a target does with a connection is said by the first byte that comes.
const (
	sink    = 'u' // reads until the end and says how much that was
	source  = 'd' // writes for as long as it can
	plugged = 'p' // so does this, and what it has written is counted
	echoes  = 'e'
)

// target is what the device reaches.
type target struct {
	l    net.Listener
	wg   sync.WaitGroup
	sunk atomic.Int64
	lost atomic.Int64 // written by those that are plugged

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

func newTarget(far *link) (*target, error) {
	l, err := far.listen()
	if err != nil {
		return nil, err
	}
	t := &target{l: l, open: map[net.Conn]struct{}{}}
	t.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.mu.Lock()
			t.open[c] = struct{}{}
			t.mu.Unlock()
			t.wg.Go(func() {
				t.serve(c.(*net.TCPConn)) //nolint:forcetypeassert // it came from a TCP listener
				_ = c.Close()
				t.mu.Lock()
				delete(t.open, c)
				t.mu.Unlock()
			})
		}
	})
	return t, nil
}

func (t *target) addr() string { return t.l.Addr().String() }

func (t *target) close() {
	_ = t.l.Close()
	t.mu.Lock()
	for c := range t.open {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}

func (t *target) serve(c *net.TCPConn) {
	buffer := make([]byte, 64<<10)
	if _, err := io.ReadFull(c, buffer[:1]); err != nil {
		return
	}
	switch buffer[0] {
	case sink:
		var got int64
		for {
			n, err := c.Read(buffer)
			got += int64(n)
			t.sunk.Add(int64(n))
			if err != nil {
				if errors.Is(err, io.EOF) {
					_ = binary.Write(c, binary.BigEndian, got)
				}
				return
			}
		}
	case source:
		for {
			if _, err := c.Write(buffer); err != nil {
				return
			}
		}
	case plugged:
		_ = c.SetWriteBuffer(64 << 10) // so that what is counted is what has gone
		for {
			n, err := c.Write(buffer)
			if t.lost.Add(int64(n)); err != nil {
				return
			}
		}
	case echoes:
		_, _ = io.Copy(c, c)
	}
}

// ask opens a connection through a subject and says what for.
func (s *subject) ask(what byte) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", s.addr, 10*time.Second)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	_, err = c.Write([]byte{what})
	return c.(*net.TCPConn), err //nolint:forcetypeassert // it was dialled as TCP
}

// bulk is streams that carry as much as they can.
type bulk struct {
	conns    []*net.TCPConn
	received atomic.Int64
	wg       sync.WaitGroup
	target   *target // counts what goes up
	what     byte
	before   int64
}

// pour opens n streams in one direction. Those from the first on which are to be stalled are not read.
func (s *subject) pour(t *target, what byte, n, stalled int) (*bulk, error) {
	b := &bulk{target: t, what: what, before: t.sunk.Load()}
	for i := range n {
		ask := what
		if i < stalled {
			ask = plugged
		}
		c, err := s.ask(ask)
		if err != nil {
			b.stop()
			return nil, err
		}
		b.conns = append(b.conns, c)
		if what == sink {
			b.wg.Go(func() {
				buffer := make([]byte, 64<<10)
				for {
					if _, err := c.Write(buffer); err != nil {
						return
					}
				}
			})
			continue
		}
		if i < stalled {
			_ = c.SetReadBuffer(4 << 10) // the kernel would take megabytes for it
			continue
		}
		b.wg.Go(func() {
			buffer := make([]byte, 64<<10)
			for {
				n, err := c.Read(buffer)
				b.received.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	return b, nil
}

// arrived is how much has come out at the other end.
func (b *bulk) arrived() int64 {
	if b.what == sink {
		return b.target.sunk.Load() - b.before
	}
	return b.received.Load()
}

func (b *bulk) stop() {
	for _, c := range b.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	b.wg.Wait()
}

// settle waits until nothing more is buffered for those that are plugged.
func (t *target) settle() {
	until := time.Now().Add(20 * time.Second)
	for before, quiet := t.lost.Load(), 0; quiet < 4 && time.Now().Before(until); {
		time.Sleep(250 * time.Millisecond)
		quiet++
		if now := t.lost.Load(); now != before {
			before, quiet = now, 0
		}
	}
}

// flow is what went through in a while, and what it cost the gateway and the agent together, and the user's end.
type flow struct {
	bytes     int64
	took      time.Duration
	cpu, user time.Duration
}

func (f *flow) add(o flow) {
	f.bytes += o.bytes
	f.took += o.took
	f.cpu += o.cpu
	f.user += o.user
}

func (f flow) gbits() float64 { return float64(f.bytes) * 8 / 1e9 / f.took.Seconds() }

// cost is CPU-s per GB of agent and gateway, userCost of the user's end.
func (f flow) cost() float64     { return f.perGB(f.cpu) }
func (f flow) userCost() float64 { return f.perGB(f.user) }

func (f flow) perGB(d time.Duration) float64 { return d.Seconds() / (float64(f.bytes) / 1e9) }

// run measures a bulk after it has run for a while.
func (b *bulk) run(s *subject, warm, length time.Duration) (f flow) {
	time.Sleep(warm)
	cpu, user, from, began := s.cpu(), s.userCPU(), b.arrived(), time.Now()
	time.Sleep(length)
	f = flow{bytes: b.arrived() - from, took: time.Since(began)}
	f.cpu, f.user = s.cpu()-cpu, s.userCPU()-user
	return f
}

func (s *subject) cpu() time.Duration { return s.server.cpu() + s.agent.cpu() }

func (s *subject) userCPU() time.Duration {
	if s.user == nil {
		return 0
	}
	return s.user.cpu()
}

// keys types for a while and at least n keys, one after the other with a pause, and gives how long each took to come back.
func keys(c net.Conn, n int, long, pause time.Duration) (all []time.Duration, err error) {
	key := []byte{'k'}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	for until := time.Now().Add(long); len(all) < n || time.Now().Before(until); {
		began := time.Now()
		if _, err := c.Write(key); err != nil {
			return all, err
		}
		if _, err := io.ReadFull(c, key); err != nil {
			return all, err
		}
		all = append(all, time.Since(began))
		time.Sleep(pause)
	}
	return all, nil
}

// quantile gives the value below which a share of all is.
func quantile[T time.Duration | float64](all []T, share float64) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
