package account

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of requests with one API key.
const (
	keyRate  = 200 // a second
	keyBurst = 400
	maxUses  = 10_000
)

var errKeyRate = errs.E(wire.Exhausted, "this API key is used too often: at most %d requests a second", keyRate)

// uses counts how often keys are used.
type uses struct {
	now func() time.Time

	mu   sync.Mutex // guards keys
	keys map[string]*use
}

// use is of a key that was right.
type use struct {
	rate *rate.Limiter
	kept time.Time // the last use that was kept
}

func newUses(now func() time.Time) *uses {
	return &uses{now: now, keys: map[string]*use{}}
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
