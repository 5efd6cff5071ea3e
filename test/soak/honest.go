package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// Honest clients of one tenant, by the number of their device.
const (
	publishers  = 3 // 0 to 2
	subscribers = 3 // 3 to 5
	callee      = 6
	firstCaller = 7
	callers     = 2
	wanderer    = 9 // publishes, subscribes and reconnects
)

// due is how long an honest client may be left waiting before that counts as a loss.
const due = 60 * time.Second

// crew is the honest clients of one tenant. What they publish is numbered: on each topic from 1 on, one after the other.
type crew struct {
	tenant   int
	child    *child
	ledger   *ledger
	seed     uint64
	sessions [honestDevices]*wampx.Session // the wanderer's changes while it works
	acked    [publishers + 1]atomic.Uint64 // by topic
	logs     []*arrivals                   // of the subscribers
	calls    atomic.Uint64
}

// arrivals is what one subscriber got: the number of the last event of each topic.
type arrivals [publishers + 1]atomic.Uint64

func topicOf(n int) string { return fmt.Sprintf("soak.honest.p%d", n) }

func (cr *crew) procedure() string {
	d := device(cr.tenant, callee)
	return wire.DeviceFunction(d.Project, d.Key, app, stage, "echo")
}

func (cr *crew) dial(ctx context.Context, n int) (*wampx.Session, error) {
	d := device(cr.tenant, n)
	return wampx.Dial(ctx, wampx.Config{
		URL: "wss://" + cr.child.addr + "/ws", Realm: realmOf(cr.tenant).Name(), AuthID: string(d.Serial), Secret: d.Secrets[0],
		TLS:         &tls.Config{RootCAs: cr.child.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12},
		Serializer:  []wampx.Serializer{wampx.JSON, wampx.MessagePack, wampx.CBOR}[n%3],
		JoinTimeout: due,
	})
}

// join brings all of them in, each ready for its work.
func (cr *crew) join(ctx context.Context) error {
	for n := range cr.sessions {
		var err error
		if cr.sessions[n], err = cr.dial(ctx, n); err != nil {
			return err
		}
	}
	for i := range subscribers {
		log := &arrivals{}
		cr.logs = append(cr.logs, log)
		if err := cr.listen(ctx, cr.sessions[publishers+i], i, log); err != nil {
			return err
		}
	}
	_, err := cr.sessions[callee].RegisterURI(ctx, cr.procedure(), wampx.RegisterOptions{}, cr.echo)
	return err
}

// listen subscribes to all topics of the crew: one by one, by their prefix or by a wildcard.
func (cr *crew) listen(ctx context.Context, s *wampx.Session, how int, log *arrivals) error {
	handler := func(_ context.Context, e wampx.Event) { cr.arrived(e, log) }
	switch how {
	case 0:
		for n := range publishers + 1 {
			if _, err := s.SubscribeURI(ctx, topicOf(n), wampx.Exact, handler); err != nil {
				return err
			}
		}
		return nil
	case 1:
		_, err := s.SubscribeURI(ctx, "soak.honest.", wampx.Prefix, handler)
		return err
	default:
		_, err := s.SubscribeURI(ctx, "soak.honest.", wampx.Wildcard, handler)
		return err
	}
}

// arrived checks that an event is of this tenant and the next of its topic. The log of one who came late begins with its
// first event.
func (cr *crew) arrived(e wampx.Event, log *arrivals) {
	cr.ledger.delivered.Add(1)
	if len(e.Args) != 3 || e.Dropped > 0 {
		cr.ledger.lost("an event of %s has arguments %v and says that %d were dropped", e.Topic, e.Args, e.Dropped)
		return
	}
	tenant, topic, number := numberIn(e.Args[0]), numberIn(e.Args[1]), numberIn(e.Args[2])
	if tenant != uint64(cr.tenant) || topic > publishers || e.Topic != topicOf(int(topic)) { //nolint:gosec // few
		cr.ledger.lost("tenant %d got an event of %s with %v", cr.tenant, e.Topic, e.Args)
		return
	}
	before := log[topic].Swap(number)
	late := before == 0 && !slices.Contains(cr.logs, log)
	if number != before+1 && !late {
		cr.ledger.lost("tenant %d: %s has number %d after %d", cr.tenant, e.Topic, number, before)
	}
}

func numberIn(v any) uint64 {
	n, ok := v.(uint64)
	if !ok {
		return 1 << 60 // no number of ours
	}
	return n
}

// echo answers with what it was given, and with parts of it before where the caller looks at progress.
func (cr *crew) echo(ctx context.Context, in *wampx.Invocation) (wampx.Result, error) {
	if in.ReceiveProgress {
		for i := range progresses {
			if err := in.Progress(ctx, []any{i}, nil); err != nil {
				return wampx.Result{}, err
			}
		}
	}
	return wampx.Result{Args: in.Args}, nil
}

// work has all of them at it until ctx ends, and returns when nothing of theirs is under way.
func (cr *crew) work(ctx context.Context) {
	var all sync.WaitGroup
	for n := range publishers {
		all.Go(func() { cr.paced(ctx, n, func(*rand.Rand) bool { return cr.publish(cr.sessions[n], n) }) })
	}
	for n := firstCaller; n < firstCaller+callers; n++ {
		all.Go(func() { cr.paced(ctx, n, func(rng *rand.Rand) bool { return cr.call(cr.sessions[n], rng) }) })
	}
	all.Go(func() { cr.wander(ctx) })
	all.Wait()
}

// paced does something again and again until ctx ends or it fails.
func (cr *crew) paced(ctx context.Context, n int, act func(*rand.Rand) bool) {
	rng := rand.New(rand.NewPCG(cr.seed, uint64(cr.tenant*honestDevices+n))) //nolint:gosec // choices
	for pause(ctx, time.Duration(15+rng.IntN(40))*time.Millisecond) {
		if !act(rng) {
			return
		}
	}
}

// pause waits, and reports whether there is any point in going on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// leave ends the sessions, whose ends must be in order.
func (cr *crew) leave(ctx context.Context) {
	for n, s := range cr.sessions {
		if s == nil {
			continue
		}
		if err := s.Err(); err != nil {
			cr.ledger.lost("tenant %d: the session of client %d ended: %v", cr.tenant, n, err)
		}
		if err := s.Close(ctx); err != nil {
			cr.ledger.lost("tenant %d: client %d could not leave: %v", cr.tenant, n, errs.Wrap("close", err))
		}
	}
}
