package authn

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Delays of a source that fails. A source is an authid in a realm together with the network it is tried from: names such as
// service:sample occur in many realms, and what fails in one must not be felt in another.
const (
	firstDelay = 250 * time.Millisecond
	maxDelay   = 10 * time.Second
	// maxWait is how long one attempt is made to wait; it leaves time in the 5 s that a join may take. An attempt that
	// would have to wait longer is refused unseen.
	maxWait = 3 * time.Second
	// memory is how long after its last failure a source is remembered.
	memory = 10 * time.Minute
	// maxSources bounds what strangers can make the server remember.
	maxSources = 16384
)

// throttle slows sources down that fail. Other sources of the same authid are not touched.
type throttle struct {
	seed maphash.Seed

	mu      sync.Mutex
	sources map[uint64]*attempts // guarded by mu
}

type attempts struct {
	failures int
	next     time.Time // when the next attempt is looked at
	last     time.Time // when the last one failed
}

func newThrottle() *throttle {
	return &throttle{seed: maphash.MakeSeed(), sources: map[uint64]*attempts{}}
}

// source names a source by a hash with a random seed; two that collide share their delays.
func (t *throttle) source(realm, authid string, network netip.Prefix) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	var space [64]byte
	for _, part := range [...]string{string(network.AppendTo(space[:0])), realm, authid} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = h.Write(size[:])
		_, _ = h.WriteString(part)
	}
	return h.Sum64()
}

// wait blocks until the source may be looked at again. Attempts at the same time wait one after the other.
func (t *throttle) wait(ctx context.Context, source uint64) error {
	d := t.reserve(source, time.Now())
	if d > maxWait {
		return failed("too many failures from this source")
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return failedBy(ctx.Err())
	}
}

// reserve gives how long the attempt has to wait, and takes its turn where that is not too long.
func (t *throttle) reserve(source uint64, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.sources[source]
	if !ok {
		return 0
	}
	d := a.next.Sub(now)
	if d <= maxWait {
		a.next = later(a.next, now).Add(delay(a.failures))
	}
	return d
}

func (t *throttle) failed(source uint64) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.sources[source]
	if !ok {
		t.makeRoom(now)
		a = &attempts{}
		t.sources[source] = a
	}
	a.failures++
	a.last = now
	a.next = later(a.next, now.Add(delay(a.failures)))
}

func (t *throttle) succeeded(source uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sources, source)
}

// maxLook is how many sources are looked at to make room: joins to all realms wait for it.
const maxLook = 64

// makeRoom forgets what is old among a few sources, and where that is not enough, any one of them.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.sources) < maxSources {
		return
	}
	victim, found, looked := uint64(0), false, 0
	for s, a := range t.sources {
		if looked++; looked > maxLook {
			break
		}
		if now.Sub(a.last) > memory {
			delete(t.sources, s)
		} else if !found {
			victim, found = s, true
		}
	}
	if len(t.sources) >= maxSources {
		delete(t.sources, victim)
	}
}

// delay doubles with each failure.
func delay(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	return min(maxDelay, firstDelay<<min(failures-1, 10))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
