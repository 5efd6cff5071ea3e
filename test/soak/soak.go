package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bulkhead/internal/errs"
)

// world is one soak under way.
type world struct {
	settings
	child  *child
	ledger *ledger
	crews  []*crew
	den    *den
	peak   sample
}

// soak runs all of it and reports. An error is of the soak itself.
func soak(ctx context.Context, s settings) (r *report, err error) {
	fmt.Fprintf(s.talk, "soak: seed %d, %v of warm-up, %v between the measurements\n", s.seed, s.warmUp, s.lasts)
	c, err := startChild()
	if err != nil {
		return nil, err
	}
	w := &world{settings: s, child: c, ledger: newLedger()}
	w.den = &den{child: c, ledger: w.ledger, seed: s.seed}
	r, err = w.run(ctx)
	if stopped := c.stop(); stopped != nil {
		err = errors.Join(err, errs.Wrap("the router's process", stopped))
	}
	return r, err
}

func (w *world) run(ctx context.Context) (*report, error) {
	for tenant := range tenants {
		cr := &crew{tenant: tenant, child: w.child, ledger: w.ledger, seed: w.seed}
		w.crews = append(w.crews, cr)
		if err := cr.join(ctx); err != nil {
			return nil, errs.Wrap("the honest clients join", err)
		}
	}
	before, err := w.phase(ctx, "warm-up", w.warmUp)
	if err != nil {
		return nil, err
	}
	w.peak = before
	after, err := w.phase(ctx, "soak", w.lasts)
	if err != nil {
		return nil, err
	}
	r := &report{settings: w.settings, before: before, after: after, peak: w.peak, ledger: w.ledger}
	if !r.flat() {
		var s state
		_ = w.child.tell(commandStacks, &s) // what is there tells what should not be
	}
	for _, cr := range w.crews {
		cr.leave(ctx)
	}
	return r, nil
}

// phase has everybody at it for a while, then lets it come to rest and measures.
func (w *world) phase(ctx context.Context, name string, lasts time.Duration) (sample, error) {
	at, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	var all sync.WaitGroup
	for _, cr := range w.crews {
		all.Go(func() { cr.work(at) })
	}
	all.Go(func() { w.den.rage(at) })
	all.Go(func() { w.watch(at, name) })
	all.Wait()
	for _, cr := range w.crews {
		cr.settle(ctx)
	}
	if err := ctx.Err(); err != nil {
		return sample{}, err
	}
	fmt.Fprintf(w.talk, "soak: %s is over; waiting for the router to come to rest\n", name)
	return w.child.settle(ctx, tenants*honestDevices)
}

// watch keeps the highest values and says now and then how things are.
func (w *world) watch(ctx context.Context, name string) {
	started := time.Now()
	for n := 1; pause(ctx, time.Second); n++ {
		now, err := w.child.look(false)
		if err != nil {
			w.ledger.lost("the router does not tell its state: %v", err)
			return
		}
		w.peak.Goroutines = max(w.peak.Goroutines, now.Goroutines)
		w.peak.Descriptors = max(w.peak.Descriptors, now.Descriptors)
		w.peak.Resident = max(w.peak.Resident, now.Resident)
		w.peak.Heap = max(w.peak.Heap, now.Heap)
		if n%30 == 0 {
			fmt.Fprintf(w.talk, "soak: %s %v: %d goroutines, %d descriptors, %d MiB; %d events, %d calls, %d faults\n",
				name, time.Since(started).Round(time.Second), now.Goroutines, now.Descriptors, now.Resident>>20,
				w.ledger.delivered.Load(), w.ledger.called.Load(), w.ledger.honestFaults.Load()+w.ledger.rogueFaults.Load())
		}
	}
}
