package main

import (
	"context"
	"math/rand/v2"
	"time"

	"bulkhead/internal/wampx"
)

// progresses is how many parts a callee sends before an answer.
const progresses = 3

// publish publishes the next number of a topic, and counts it when it was acknowledged. What is not acknowledged is a loss.
func (cr *crew) publish(s *wampx.Session, topic int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), due)
	defer cancel()
	number, started := cr.acked[topic].Load()+1, time.Now()
	if err := s.PublishURI(ctx, topicOf(topic), []any{cr.tenant, topic, number}, nil, wampx.PublishOptions{}); err != nil {
		cr.ledger.lost("tenant %d: publication %d of %s: %v", cr.tenant, number, topicOf(topic), err)
		return false
	}
	cr.ledger.took(time.Since(started))
	cr.ledger.published.Add(1)
	cr.acked[topic].Store(number)
	return true
}

// call calls with a number of its own and wants that back, now and then with progress before.
func (cr *crew) call(s *wampx.Session, rng *rand.Rand) bool {
	ctx, cancel := context.WithTimeout(context.Background(), due)
	defer cancel()
	number, started := cr.calls.Add(1), time.Now()
	var parts uint64
	var progress func([]any, map[string]any)
	if rng.IntN(8) == 0 {
		progress = func(args []any, _ map[string]any) {
			if len(args) == 1 && args[0] == parts {
				parts++
			}
		}
	}
	args, _, err := s.CallURI(ctx, cr.procedure(), []any{cr.tenant, number}, nil, progress)
	switch {
	case err != nil:
		cr.ledger.lost("tenant %d: call %d: %v", cr.tenant, number, err)
		return false
	case len(args) != 2 || args[0] != uint64(cr.tenant) || args[1] != number: //nolint:gosec // few
		cr.ledger.lost("tenant %d: call %d was answered with %v", cr.tenant, number, args)
	case progress != nil && parts != progresses:
		cr.ledger.lost("tenant %d: call %d got %d parts", cr.tenant, number, parts)
	}
	cr.ledger.took(time.Since(started))
	cr.ledger.called.Add(1)
	return true
}

// wander publishes for a while, leaves, comes again and goes on where it was; what it subscribes to must come without a gap for
// as long as it stays.
func (cr *crew) wander(ctx context.Context) {
	for fresh := false; ctx.Err() == nil; fresh = true {
		if fresh && !cr.rejoin() {
			return
		}
		s := cr.sessions[wanderer]
		stay, cancel := context.WithTimeout(ctx, 3*time.Second)
		cr.paced(stay, wanderer, func(rng *rand.Rand) bool { return cr.publish(s, publishers) && cr.call(s, rng) })
		cancel()
	}
}

// rejoin closes the wanderer's session and opens the next.
func (cr *crew) rejoin() bool {
	ctx, cancel := context.WithTimeout(context.Background(), due)
	defer cancel()
	if err := cr.sessions[wanderer].Close(ctx); err != nil {
		cr.ledger.lost("tenant %d: the wanderer could not leave: %v", cr.tenant, err)
		return false
	}
	s, err := cr.dial(ctx, wanderer)
	if err != nil {
		cr.ledger.lost("tenant %d: the wanderer could not come again: %v", cr.tenant, err)
		return false
	}
	cr.sessions[wanderer] = s
	cr.ledger.reconnected.Add(1)
	if err := cr.listen(ctx, s, int(cr.calls.Load()%subscribers), &arrivals{}); err != nil { //nolint:gosec // small
		cr.ledger.lost("tenant %d: the wanderer could not subscribe: %v", cr.tenant, err)
		return false
	}
	return true
}

// settle waits until every subscriber has what was acknowledged, and counts what is missing as lost.
func (cr *crew) settle(ctx context.Context) {
	deadline := time.Now().Add(due)
	for cr.missing() > 0 && time.Now().Before(deadline) && pause(ctx, 50*time.Millisecond) {
	}
	for _, log := range cr.logs {
		for topic := range cr.acked {
			if got, want := log[topic].Load(), cr.acked[topic].Load(); got != want {
				cr.ledger.lost("tenant %d: a subscriber has %d of %d events of %s", cr.tenant, got, want, topicOf(topic))
			}
		}
	}
}

func (cr *crew) missing() (events uint64) {
	for _, log := range cr.logs {
		for topic := range cr.acked {
			events += max(cr.acked[topic].Load(), log[topic].Load()) - log[topic].Load()
		}
	}
	return events
}
