package load

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/test/peers/internal/measure"
	"bulkhead/test/peers/internal/scene"
)

// JoinPlan says who joins. With CRA they are the scene's devices in turn; without, anonymous.
type JoinPlan struct {
	Realm   string
	CRA     bool
	Workers int
	Limit   int // sessions that are open at once
}

// login is how the i-th session joins.
func (p JoinPlan) login(i int, from net.IP) Login {
	l := Login{Realm: p.Realm, Source: from}
	if p.CRA {
		l.Device = i%scene.Devices + 1
	}
	return l
}

// Joins joins as fast as it can.
type Joins struct {
	target Target
	plan   JoinPlan
	open   []*Session
}

// NewJoins joins nobody yet.
func NewJoins(t Target, plan JoinPlan) *Joins { return &Joins{target: t, plan: plan} }

// Run joins for the time d, or until the limit is reached. The sessions stay open until Rest.
func (j *Joins) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
	start := time.Now()
	workers := make([]*joiner, j.plan.Workers)
	var running sync.WaitGroup
	for i := range workers {
		workers[i] = &joiner{Joins: j, number: i, limit: j.plan.Limit / j.plan.Workers}
		running.Go(func() { workers[i].run(ctx, start.Add(d)) })
	}
	running.Wait()
	r := measure.Round{Latency: &measure.Histogram{}, Elapsed: time.Since(start)}
	var err error
	for _, w := range workers {
		r.Ops += int64(len(w.open))
		r.Latency.Merge(&w.latency)
		j.open = append(j.open, w.open...)
		err = errors.Join(err, w.err)
	}
	return r, err
}

// leaveTime is what a router gets to notice that sessions have ended.
const leaveTime = 150 * time.Millisecond

// Rest ends the sessions of the last Run and lets the router notice.
func (j *Joins) Rest() {
	j.Close()
	time.Sleep(leaveTime)
}

// Close ends the sessions.
func (j *Joins) Close() {
	for _, s := range j.open {
		s.Close()
	}
	j.open = nil
}

// joiner is one worker of a run.
type joiner struct {
	*Joins
	number, limit int
	open          []*Session
	latency       measure.Histogram
	err           error
}

func (w *joiner) run(ctx context.Context, until time.Time) {
	for i := w.number; len(w.open) < w.limit && time.Now().Before(until); i += w.plan.Workers {
		start := time.Now()
		s, err := Join(ctx, w.target, w.plan.login(i, source(w.number)))
		if err != nil {
			w.err = err
			return
		}
		w.latency.Record(time.Since(start))
		w.open = append(w.open, s)
	}
}

// source is one of many addresses of this machine: a router may limit what comes from one.
func source(i int) net.IP { return net.IPv4(127, 0, 1+byte(i/250), 1+byte(i%250)) }

// Idle is sessions that do nothing but answer pings.
type Idle struct {
	sessions []*Session
	readers  sync.WaitGroup
	ended    atomic.Int64
}

// hold answers the session's pings until it ends.
func (i *Idle) hold(s *Session) {
	i.sessions = append(i.sessions, s)
	i.readers.Go(func() {
		_, _, _ = s.Receive() // nothing is sent to such a session: whatever this returns, the session is over
		i.ended.Add(1)
	})
}

// Ended is how many of the sessions did not last.
func (i *Idle) Ended() int64 { return i.ended.Load() }

// NewIdle joins as many sessions as the plan's limit and holds them until Close.
func NewIdle(ctx context.Context, t Target, plan JoinPlan) (*Idle, error) {
	opened := make(chan *Session, plan.Limit)
	errs := make([]error, plan.Workers)
	var running sync.WaitGroup
	for w := range plan.Workers {
		running.Go(func() {
			for i := w; i < plan.Limit && errs[w] == nil; i += plan.Workers {
				var s *Session
				if s, errs[w] = Join(ctx, t, plan.login(i, source(i%100))); s != nil {
					opened <- s
				}
			}
		})
	}
	running.Wait()
	close(opened)
	idle := &Idle{}
	for s := range opened {
		idle.hold(s)
	}
	if err := errors.Join(errs...); err != nil {
		idle.Close()
		return nil, err
	}
	return idle, nil
}

// Close ends the sessions and waits for their readers.
func (i *Idle) Close() {
	for _, s := range i.sessions {
		s.Close()
	}
	i.readers.Wait()
}
