package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"bulkhead/router/message"
)

// crowd opens more connections than one address may have.
func (d *den) crowd(ctx context.Context, rng *rand.Rand) error {
	address, refused := rng.Uint64(), 0
	var all []*stranger
	for range perNetwork + 20 {
		s, err := d.dial(ctx, rand.New(rand.NewPCG(address, 0))) //nolint:gosec // always the same address
		if err != nil {
			break
		}
		all = append(all, s)
	}
	var closing sync.WaitGroup
	closed := make(chan bool, len(all))
	for _, s := range all {
		closing.Go(func() {
			defer s.close()
			closed <- untilClosed(s.tcp, strangerBound) == nil
		})
	}
	closing.Wait()
	close(closed)
	for was := range closed {
		if was {
			refused++
		}
	}
	if refused != len(all) {
		return fmt.Errorf("%d of %d silent connections were kept", len(all)-refused, len(all))
	}
	return nil
}

// storm joins and goes, in several manners, again and again.
func (d *den) storm(ctx context.Context, rng *rand.Rand) error {
	for range 5 + rng.IntN(10) {
		s, err := d.member(ctx, rng)
		if err != nil {
			return err
		}
		switch rng.IntN(3) {
		case 0:
			s.vanish()
		case 1:
			s.close()
		default:
			_ = s.send(&message.Goodbye{Reason: "wamp.close.normal", Details: message.Dict{}})
			err = d.abortedFor(s, "wamp.close.goodbye_and_out")
			s.close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
