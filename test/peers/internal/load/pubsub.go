package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/measure"
	"bulkhead/test/peers/internal/scene"
)

// PubSubPlan says who publishes to whom. Every subscriber gets every event.
type PubSubPlan struct {
	Realm       string
	CRA         bool // the scene's devices with WAMP-CRA; without, anonymous
	Topic       string
	Publishers  int
	Window      int // publications of one publisher that are not acknowledged yet
	Subscribers int
	From, To    frame.Serializer // the publishers' and the subscribers'
}

// PubSub is publishers and subscribers that have joined.
type PubSub struct {
	publishers  []*publisher
	subscribers []*subscriber
	readers     sync.WaitGroup
}

const readBuffer = 64 << 10

// NewPubSub joins and subscribes. The subscribers read until Close.
func NewPubSub(ctx context.Context, t Target, plan PubSubPlan) (*PubSub, error) {
	p := &PubSub{}
	if err := p.join(ctx, t, plan); err != nil {
		p.Close()
		return nil, err
	}
	for _, s := range p.subscribers {
		p.readers.Go(s.read)
	}
	return p, nil
}

func (p *PubSub) join(ctx context.Context, t Target, plan PubSubPlan) error {
	for i := range plan.Subscribers {
		s, err := Join(ctx, t, plan.login(i, plan.To))
		if err != nil {
			return err
		}
		p.subscribers = append(p.subscribers, &subscriber{session: s, last: make([]uint32, plan.Publishers)})
		if err := s.Subscribe(plan.Topic, "exact"); err != nil {
			return err
		}
	}
	for i := range plan.Publishers {
		s, err := Join(ctx, t, plan.login(plan.Subscribers+i, plan.From))
		if err != nil {
			return err
		}
		template, err := frame.NewTemplate(plan.From, codePublish, map[string]any{"acknowledge": true}, plan.Topic, frame.Payload)
		p.publishers = append(p.publishers, &publisher{session: s, number: uint8(i), window: plan.Window, template: template})
		if err != nil {
			return err
		}
	}
	return nil
}

// login is how the i-th session joins.
func (p PubSubPlan) login(i int, s frame.Serializer) Login {
	l := Login{Realm: p.Realm, Serializer: s, Buffer: readBuffer}
	if p.CRA {
		l.Device = i%scene.Devices + 1
	}
	return l
}

// Pace bounds how many publications a publisher sends in a second; 0 is as many as its window lets. Call it between runs.
func (p *PubSub) Pace(perSecond int) {
	for _, pub := range p.publishers {
		pub.perSecond = perSecond
	}
}

// Run publishes for the time d, then waits for what is under way.
func (p *PubSub) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
	for _, s := range p.subscribers {
		s.reset()
	}
	start := time.Now()
	if err := p.publish(ctx, start.Add(d)); err != nil {
		return measure.Round{}, err
	}
	p.settle(ctx)
	return p.collect(start)
}

func (p *PubSub) publish(ctx context.Context, until time.Time) error {
	var running sync.WaitGroup
	errs := make([]error, len(p.publishers))
	for i, pub := range p.publishers {
		running.Go(func() { errs[i] = pub.run(ctx, until) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Nothing more is to come once nothing came for so long.
const (
	settleQuiet = 700 * time.Millisecond
	settlePoll  = 2 * time.Millisecond
)

// settle waits until all events have arrived, or none does any more: a router may have lost some.
func (p *PubSub) settle(ctx context.Context) {
	expected, seen, at := p.expected(), p.delivered(), time.Now()
	for seen < expected && time.Since(at) < settleQuiet && ctx.Err() == nil {
		time.Sleep(settlePoll)
		if now := p.delivered(); now != seen {
			seen, at = now, time.Now()
		}
	}
}

func (p *PubSub) expected() (n int64) {
	for _, pub := range p.publishers {
		n += pub.sent - pub.refused
	}
	return n * int64(len(p.subscribers))
}

func (p *PubSub) delivered() (n int64) {
	for _, s := range p.subscribers {
		s.mu.Lock()
		n += s.delivered
		s.mu.Unlock()
	}
	return n
}

func (p *PubSub) collect(start time.Time) (measure.Round, error) {
	r := measure.Round{Latency: &measure.Histogram{}}
	end := start
	for _, s := range p.subscribers {
		if err := s.addTo(&r, &end); err != nil {
			return r, fmt.Errorf("subscriber: %w", err)
		}
	}
	r.Lost = p.expected() - r.Ops
	for _, pub := range p.publishers {
		r.Lost += pub.sent - pub.acknowledged - pub.refused
		r.Refused += pub.refused
	}
	r.Elapsed = end.Sub(start)
	return r, nil
}

// Published is how many publications were sent in the last round.
func (p *PubSub) Published() (n int64) {
	for _, pub := range p.publishers {
		n += pub.sent
	}
	return n
}

// Close ends all sessions and waits for their readers.
func (p *PubSub) Close() {
	for _, s := range p.subscribers {
		s.session.Close()
	}
	for _, pub := range p.publishers {
		pub.session.Close()
	}
	p.readers.Wait()
}

// subscriber counts the events that one session receives.
type subscriber struct {
	session *Session

	mu         sync.Mutex // guards what follows
	delivered  int64
	disordered int64
	last       []uint32 // sequence number by publisher
	latestAt   uint64   // nanoseconds since the epoch
	latency    measure.Histogram
	err        error
}

func (s *subscriber) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered, s.disordered = 0, 0
	s.latency.Reset()
}

// read runs until the session ends. All events of one read get the same time of arrival.
func (s *subscriber) read() {
	for {
		err := s.session.scan.Fill()
		s.mu.Lock()
		if err == nil {
			s.latestAt = sinceEpoch()
			err = s.session.each(s.event)
		}
		s.err = err
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *subscriber) event(h frame.Head, message []byte) error {
	if h.Code != codeEvent {
		return fmt.Errorf("not an event: %.200q", message)
	}
	stamp, ok := s.session.s.ReadStamp(message)
	if !ok || int(stamp.Sender) >= len(s.last) {
		return fmt.Errorf("an event that nobody published: %.300q", message)
	}
	s.delivered++
	s.latency.Record(time.Duration(s.latestAt - min(stamp.Nanos, s.latestAt)))
	if stamp.Seq <= s.last[stamp.Sender] {
		s.disordered++
	}
	s.last[stamp.Sender] = stamp.Seq
	return nil
}

func (s *subscriber) addTo(r *measure.Round, end *time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Ops += s.delivered
	r.Disordered += s.disordered
	r.Latency.Merge(&s.latency)
	if at := epoch.Add(time.Duration(s.latestAt)); at.After(*end) {
		*end = at
	}
	return s.err
}
