package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/measure"
)

// Probe measures how long an event takes in a realm that is all but idle: it publishes now and then to one subscriber.
type Probe struct {
	out, in  *Session
	template *frame.Template
	every    time.Duration // on average
	pauses   *rand.Rand
	priority string
	buf      []byte
	seq      uint32
}

// NewProbe joins a publisher and a subscriber.
func NewProbe(ctx context.Context, t Target, realm string, every time.Duration) (*Probe, error) {
	const topic = "bench.probe"
	p := &Probe{every: every, pauses: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // the same pauses in every run
	var err error
	if p.template, err = frame.NewTemplate(frame.JSON, codePublish, map[string]any{}, topic, frame.Payload); err != nil {
		return nil, err
	}
	if p.out, err = Join(ctx, t, Login{Realm: realm, Blocking: true}); err != nil {
		return nil, err
	}
	if p.in, err = Join(ctx, t, Login{Realm: realm, Blocking: true}); err == nil {
		err = p.in.Subscribe(topic, "exact")
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Run sends events for the time d. It keeps one operating-system thread that need not wait for a processor, so that what it
// measures is the router and the kernel, not the generator's other work. An event that is sent late because the one before it
// was late counts from when it was due.
func (p *Probe) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	how, end := urgently()
	defer end()
	p.priority = how
	r := measure.Round{Latency: &measure.Histogram{}}
	start := time.Now()
	for due := start; due.Sub(start) < d && ctx.Err() == nil; due = due.Add(p.pause()) {
		late := r.Ops > 0 && time.Now().After(due)
		sleepUntil(due)
		sent := time.Now()
		if late {
			sent = due
		}
		if err := p.exchange(); err != nil {
			return r, fmt.Errorf("probe: %w", err)
		}
		r.Ops++
		r.Latency.Record(time.Since(sent))
	}
	r.Elapsed = time.Since(start)
	return r, ctx.Err()
}

// pause is between half and one and a half of what it is on average, so that the probe does not fall into step with the load
// beside it.
func (p *Probe) pause() time.Duration {
	return p.every/2 + time.Duration(p.pauses.Int64N(int64(p.every)))
}

// Priority is what the kernel granted to the last run's thread.
func (p *Probe) Priority() string { return p.priority }

func (p *Probe) exchange() error {
	p.seq++
	p.out.request++
	p.buf = p.template.Append(p.buf[:0], p.out.request, frame.Stamp{Seq: p.seq})
	if _, err := p.out.conn.Write(p.buf); err != nil {
		return err
	}
	for {
		h, message, err := p.in.Receive()
		if err != nil {
			return err
		}
		if stamp, ok := p.in.s.ReadStamp(message); h.Code == codeEvent && ok && stamp.Seq == p.seq {
			return nil
		}
	}
}

// Close ends both sessions.
func (p *Probe) Close() {
	p.out.Close()
	if p.in != nil {
		p.in.Close()
	}
}

// Subscribe joins sessions that hold n subscriptions to patterns which match nothing that is published, half of them
// prefixes and half wildcards, a hundred per session.
func Subscribe(ctx context.Context, t Target, realm string, n int) (*Idle, error) {
	const each = 100
	idle := &Idle{}
	for i := 0; i < n; i += each {
		s, err := Join(ctx, t, Login{Realm: realm, Source: source(i / each % 100)})
		if err != nil {
			idle.Close()
			return nil, err
		}
		if err := s.subscribePatterns(i, min(i+each, n)); err != nil {
			s.Close()
			idle.Close()
			return nil, err
		}
		idle.hold(s)
	}
	return idle, nil
}

func (s *Session) subscribePatterns(from, to int) error {
	for i := from; i < to; i++ {
		pattern, match := fmt.Sprintf("bench.pattern%d.", i), "prefix"
		if i%2 == 1 {
			pattern, match = fmt.Sprintf("bench..name%d", i), "wildcard"
		}
		if err := s.Subscribe(pattern, match); err != nil {
			return err
		}
	}
	return nil
}
