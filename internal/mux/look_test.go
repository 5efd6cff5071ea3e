package mux

import (
	"testing"
	"time"
)

// bbr is a kernel that looks how long the way is, as BBR says it does.
type bbr struct {
	trip  time.Duration
	found time.Time // when it found the shortest
	since time.Time // it looks
	looks bool
}

// step takes the kernel on; arrives says that something is under way, without which nothing changes.
func (k *bbr) step(now time.Time, arrives bool) glance {
	switch {
	case !arrives:
	case k.looks && now.Sub(k.since) > 200*time.Millisecond+k.trip:
		k.looks, k.found = false, now
	case !k.looks && now.Sub(k.found) > 10*time.Second:
		k.looks, k.since = true, now
	}
	return glance{k.trip, k.looks}
}

func TestBulkHasMadeRoomWhenTheKernelLooks(t *testing.T) {
	t.Parallel()
	for _, trip := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 600 * time.Millisecond} {
		k, l := bbr{trip: trip, found: start}, look{}
		const long = time.Minute
		var waited time.Duration
		sentAt := start // bulk, last
		looked := 0
		for now := start; now.Sub(start) < long; now = now.Add(glanceEvery) {
			before := k.looks
			l.seen(now, k.step(now, true))
			if k.looks && !before {
				looked++
				if ago := now.Sub(sentAt); ago < trip+backlog {
					t.Errorf("%v: a look begins %v after bulk went out", trip, ago)
				}
			}
			if l.waits(now) {
				waited += glanceEvery
			} else {
				sentAt = now
			}
			if k.looks != l.waits(now) && k.looks {
				t.Errorf("%v: bulk goes on in a look", trip)
			}
		}
		each := 200*time.Millisecond + 2*trip + 2*backlog + vague + 4*glanceEvery
		if looked < 4 || waited > time.Duration(looked+1)*each {
			t.Errorf("%v: bulk waited for %v in %d looks", trip, waited, looked)
		}
	}
}

func TestBulkNeverWaitsForLongWhateverTheKernelSays(t *testing.T) {
	t.Parallel()
	const trip = 100 * time.Millisecond
	for name, says := range map[string]func(n int) glance{
		"it looks for ever":         func(int) glance { return glance{trip, true} },
		"it never looks":            func(int) glance { return glance{trip, false} },
		"always shorter":            func(n int) glance { return glance{trip - time.Duration(n)*time.Microsecond, false} },
		"it looks each four second": func(n int) glance { return glance{trip, n/int(4*time.Second/glanceEvery)%2 == 1} },
		"nothing":                   func(int) glance { return glance{} },
		"a short way, looking":      func(n int) glance { return glance{time.Millisecond, n%3000 == 0} },
	} {
		var l look
		var longest, waited, all time.Duration
		for n := range int(time.Minute / glanceEvery) {
			now := start.Add(time.Duration(n) * glanceEvery)
			l.seen(now, says(n))
			if all += glanceEvery; !l.waits(now) {
				waited = 0
				continue
			}
			waited += glanceEvery
			longest = max(longest, waited)
		}
		if longest > longestLook+2*trip {
			t.Errorf("%s: bulk waits for %v", name, longest)
		}
	}
}

func TestWhereNobodyLookedForLongTheNextLookIsExpectedWithinAMoment(t *testing.T) {
	t.Parallel()
	var l look
	l.seen(start, glance{50 * time.Millisecond, false})
	l.seen(start.Add(time.Hour), glance{49 * time.Millisecond, false})
	if l.until.Sub(l.from) > vague {
		t.Errorf("it is expected at some time in %v", l.until.Sub(l.from))
	}
}
