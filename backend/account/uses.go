package account

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of API keys: requests of one, and look-ups of wrong ones from one address.
const (
	keyRate      = 200 // a second
	keyBurst     = 400
	wrongRate    = 5 // a second
	wrongBurst   = 50
	maxUses      = 10_000
	maxAddresses = 10_000
)

var (
	errKeyRate = errs.E(wire.Exhausted, "this API key is used too often: at most %d requests a second", keyRate)
	errWrong   = errs.E(wire.Exhausted, "too many wrong API keys come from this address: try again in a second")
)

// uses counts how often keys are used, and wrong ones tried.
type uses struct {
	now func() time.Time

	mu        sync.Mutex // guards all below
	keys      map[string]*use
	addresses map[string]*rate.Limiter
}

// use is of a key that was right.
type use struct {
	rate *rate.Limiter
	kept time.Time // the last use that was kept
}

func newUses(now func() time.Time) *uses {
	return &uses{now: now, keys: map[string]*use{}, addresses: map[string]*rate.Limiter{}}
}

// admit refuses a look-up where too many wrong keys came from its address. Keys that were right before are not concerned:
// whoever tries wrong ones does not lock out others behind the same address.
func (u *uses) admit(id, address string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, right := u.keys[id]; right {
		return nil
	}
	if l, ok := u.addresses[address]; ok && l.TokensAt(u.now()) < 1 {
		return errWrong
	}
	return nil
}

func (u *uses) wrong(address string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	l, ok := u.addresses[address]
	if !ok {
		shed(u.addresses, maxAddresses, func(l *rate.Limiter) bool { return l.TokensAt(u.now()) >= wrongBurst })
		l = rate.NewLimiter(wrongRate, wrongBurst)
		u.addresses[address] = l
	}
	l.AllowN(u.now(), 1)
}

// right counts a use, and reports whether it is the one of its minute that shall be kept.
func (u *uses) right(id string, kept time.Time) (first bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	found, ok := u.keys[id]
	if !ok {
		shed(u.keys, maxUses, func(k *use) bool { return k.rate.TokensAt(now) >= keyBurst })
		found = &use{rate: rate.NewLimiter(keyRate, keyBurst), kept: kept}
		u.keys[id] = found
	}
	if !found.rate.AllowN(now, 1) {
		return false, errKeyRate
	}
	if now.Sub(found.kept) < seenEvery {
		return false, nil
	}
	found.kept = now
	return true, nil
}

func (u *uses) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.keys, id)
}

// shed makes room for a tenth more: first those that have nothing to say go, then any.
func shed[V any](all map[string]V, most int, idle func(V) bool) {
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
