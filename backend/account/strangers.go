package account

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"bulkhead/internal/errs"
	"bulkhead/internal/network"
	"bulkhead/wire"
)

// Limits of credentials that open nothing, from one address; from a wide network network.Wide times as many.
const (
	wrongRate   = 5 // a second
	wrongBurst  = 50
	maxNetworks = 10_000
	maxRight    = 10_000
)

var errWrong = errs.E(wire.Exhausted, "too many wrong credentials come from this address: try again in a second")

// strangers bounds the look-ups of credentials that were never right here. Those that were are not concerned: whoever tries
// wrong ones does not lock out others behind the same address.
type strangers struct {
	now func() time.Time

	mu    sync.Mutex // guards all below
	right map[string]struct{}
	wrong map[netip.Prefix]*rate.Limiter
}

func newStrangers(now func() time.Time) *strangers {
	return &strangers{now: now, right: map[string]struct{}{}, wrong: map[netip.Prefix]*rate.Limiter{}}
}

// admit refuses a look-up where too many wrong credentials came from its address.
func (s *strangers) admit(id, address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, right := s.right[id]; right {
		return nil
	}
	for of := range network.OfText(address).Each() {
		if l, ok := s.wrong[of]; ok && l.TokensAt(s.now()) < 1 {
			return errWrong
		}
	}
	return nil
}

// fail counts one that was wrong.
func (s *strangers) fail(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, times := range network.OfText(address).Each() {
		s.count(of, times)
	}
}

// count is called with mu held.
func (s *strangers) count(of netip.Prefix, share int) {
	now := s.now()
	l, ok := s.wrong[of]
	if !ok {
		shed(s.wrong, maxNetworks, func(l *rate.Limiter) bool { return l.TokensAt(now) >= float64(l.Burst()) })
		l = rate.NewLimiter(rate.Limit(wrongRate*share), wrongBurst*share)
		s.wrong[of] = l
	}
	l.AllowN(now, 1)
}

// pass remembers one that was right.
func (s *strangers) pass(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.right[id]; !ok {
		shed(s.right, maxRight, func(struct{}) bool { return false })
		s.right[id] = struct{}{}
	}
}

// forget has a credential looked upon as any other.
func (s *strangers) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.right, id)
}

// shed makes room for a tenth more: first those that have nothing to say go, then any.
func shed[K comparable, V any](all map[K]V, most int, idle func(V) bool) {
	if len(all) < most {
		return
	}
	for key, v := range all {
		if idle(v) {
			delete(all, key)
		}
	}
	for key := range all {
		if len(all) <= most*9/10 {
			return
		}
		delete(all, key)
	}
}
