package main

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// den is where misbehaving clients come from.
type den struct {
	*child
	ledger *ledger
	seed   uint64
}

// misbehaviour is one way to be a nuisance. Its verdict is an error where the router did not do what it owes; one that wraps
// errUnmet tells that it could not begin.
type misbehaviour struct {
	name    string
	workers int
	rest    time.Duration // between two runs of a worker, on average
	act     func(*den, context.Context, *rand.Rand) error
}

// catalogue is all of it.
var catalogue = []misbehaviour{
	{"says nothing after the TCP connect", 2, 500 * time.Millisecond, (*den).mute},
	{"stops half-way in the TLS handshake", 2, 500 * time.Millisecond, (*den).halfTLS},
	{"stalls in the WebSocket upgrade", 2, 500 * time.Millisecond, (*den).halfUpgrade},
	{"says nothing after the upgrade", 2, 500 * time.Millisecond, (*den).halfLogin},
	{"sends garbage before the join", 2, 300 * time.Millisecond, (*den).garbageBefore},
	{"sends a large message before the join", 1, time.Second, (*den).largeBefore},
	{"joins with a wrong proof", 2, 400 * time.Millisecond, (*den).wrongProof},
	{"connects more often than one address may", 1, 3 * time.Second, (*den).crowd},
	{"reconnects in a storm", 2, 700 * time.Millisecond, (*den).storm},
	{"sends garbage after the join", 2, 300 * time.Millisecond, (*den).garbageAfter},
	{"breaks the protocol", 2, 300 * time.Millisecond, (*den).violate},
	{"sends frames that are too large", 1, time.Second, (*den).oversized},
	{"answers what it was not asked", 1, 500 * time.Millisecond, (*den).forge},
	{neverReads, 2, 2 * time.Second, (*den).neverRead},
	{"gives no sign of life", 2, time.Second, (*den).playDead},
	{"vanishes in the middle of a frame", 1, 300 * time.Millisecond, (*den).vanishMidFrame},
	{"floods with publications", 1, 2 * time.Second, (*den).floodPublish},
	{"floods with calls", 1, 2 * time.Second, (*den).floodCall},
	{"floods with subscriptions to patterns", 1, 3 * time.Second, (*den).floodSubscribe},
	{"leaves testaments", 1, time.Second, (*den).testaments},
	{"registers and unregisters", 1, time.Second, (*den).churn},
	{"races cancel against result", 2, 500 * time.Millisecond, (*den).cancelRace},
	{"lives in a realm that is removed", 3, 300 * time.Millisecond, (*den).doomed},
}

// rage runs all of it until ctx ends, and waits for it.
func (d *den) rage(ctx context.Context) {
	var all sync.WaitGroup
	for _, m := range catalogue {
		for worker := range m.workers {
			all.Go(func() { d.repeat(ctx, m, d.rng(m.name, worker)) })
		}
	}
	all.Go(func() { d.rebuild(ctx) })
	all.Wait()
}

// rng makes the choices of one worker repeatable.
func (d *den) rng(name string, worker int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(d.seed, h.Sum64()+uint64(worker))) //nolint:gosec // choices
}

func (d *den) repeat(ctx context.Context, m misbehaviour, rng *rand.Rand) {
	for pause(ctx, m.rest/2+upTo(rng, m.rest)) {
		err := m.act(d, ctx, rng)
		switch {
		case ctx.Err() != nil: // cut short
		case err == nil:
			d.ledger.ran(m.name, func(r *runs) { r.done++ })
		case errors.Is(err, errUnmet):
			d.ledger.ran(m.name, func(r *runs) { r.unmet++ })
		default:
			d.ledger.ran(m.name, func(r *runs) { r.failed++ })
			d.ledger.rogueFaults.Add(1)
			d.ledger.note("one that %s: %v", m.name, err)
		}
	}
}

// rebuild removes the third realm and adds it again. It is there in the end.
func (d *den) rebuild(ctx context.Context) {
	rng := d.rng("rebuild", 0)
	for pause(ctx, time.Second+upTo(rng, 2*time.Second)) {
		d.apply(commandRemove)
		pause(ctx, upTo(rng, time.Second))
		d.apply(commandAdd)
	}
}

// removalBound is what removing a realm may take whatever its members do. The machine may be busy, so it is not 1 s.
const removalBound = 5 * time.Second

func (d *den) apply(command string) {
	var answer done
	err := d.tell(command, &answer)
	if err != nil || answer.Took > removalBound {
		d.ledger.rogueFaults.Add(1)
		d.ledger.note("to %s the third realm took %v: %v", command, answer.Took, err)
		return
	}
	d.ledger.ran("the third realm is removed and added", func(r *runs) { r.done++ })
}

func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
