package throttle_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/backend/account/throttle"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func begin(t *testing.T, h *throttle.Throttle, name, address string) *throttle.Try {
	t.Helper()
	try, err := h.Begin(name, address)
	if err != nil {
		t.Fatal(err)
	}
	return try
}

func refused(t *testing.T, h *throttle.Throttle, name, address string) {
	t.Helper()
	if _, err := h.Begin(name, address); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("%s from %s: %v", name, address, err)
	}
}

func TestEachWaitIsTwiceAsLong(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	for _, wait := range []time.Duration{15, 30, 60, 120} {
		for range 5 {
			begin(t, h, "alice", "192.0.2.1")
		}
		now = now.Add(wait*time.Minute - time.Second)
		refused(t, h, "alice", "192.0.2.1")
		now = now.Add(time.Second)
	}
	now = now.Add(48 * time.Hour)
	for range 5 {
		begin(t, h, "alice", "192.0.2.1")
	}
	now = now.Add(15 * time.Minute)
	begin(t, h, "alice", "192.0.2.1")
}

func TestOfAHundredThousandGuessesInADayFewAreLookedAtAndTheVictimGetsIn(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	looked := 0
	for range 100_000 { // all of somebody's codes would need ten times as many
		now = now.Add(time.Second)
		if _, err := h.Begin("alice", "192.0.2.1"); err == nil {
			looked++
		}
	}
	if looked > 35 { // five, and five again after 15, 30, 60, 120, 240 and 480 minutes
		t.Errorf("%d were looked at", looked)
	}
	begin(t, h, "alice", "192.0.2.2").Passed()
}

func TestAWaitHoldsForOneAddress(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	for range 5 {
		begin(t, h, "alice", "192.0.2.1")
	}
	refused(t, h, "alice", "192.0.2.1")
	refused(t, h, "alice", "::ffff:192.0.2.1")
	begin(t, h, "alice", "192.0.2.2")
	begin(t, h, "bob", "192.0.2.1")
}

func TestOneWhoHasIPv6HasOneNetwork(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	for i := range 5 {
		begin(t, h, "alice", fmt.Sprintf("2001:db8::%x", i+1))
	}
	refused(t, h, "alice", "2001:db8::ffff%eth0")
	begin(t, h, "alice", "2001:db8:0:1::1")
}

func TestOneAddressIsRefusedForAllItsGuesses(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	through := 0
	for i := range 100_000 {
		if _, err := h.Begin(fmt.Sprintf("user-%d", i), "192.0.2.1"); err == nil {
			through++
		}
	}
	if through != throttle.Default.Address {
		t.Errorf("%d came through", through)
	}
	begin(t, h, "user-1", "192.0.2.9")
}

func TestWhoMistypesAndThenIsRightStartsAnew(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	for range 20 {
		for range 4 {
			begin(t, h, "alice", "192.0.2.1").Void() // the server was down: nothing was guessed
		}
		begin(t, h, "alice", "192.0.2.1")
		begin(t, h, "alice", "192.0.2.1").Passed()
	}
	if try := begin(t, h, "alice", "192.0.2.1"); !try.Known {
		t.Error("who was right from here is not known")
	}
	if begin(t, h, "alice", "192.0.2.7").Known || begin(t, h, "bob", "192.0.2.1").Known {
		t.Error("somebody else is known")
	}
}

func TestTheLastTryBeforeAWaitMayBeRight(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	for range 4 {
		begin(t, h, "alice", "192.0.2.1")
	}
	begin(t, h, "alice", "192.0.2.1").Passed()
	begin(t, h, "alice", "192.0.2.1")
}

func TestOfManyAtOnceNoMoreThanTheLimitComeThrough(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	var through atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := h.Begin("alice", "192.0.2.1"); err == nil {
				through.Add(1)
			}
		})
	}
	all.Wait()
	if through.Load() != 5 {
		t.Errorf("%d came through", through.Load())
	}
}

func TestItsMemoryIsBounded(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	for i := range 250_000 {
		if try, err := h.Begin("alice", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)); err == nil && i%2 == 0 {
			try.Passed()
		}
	}
	if n := h.Size(); n > 400_000 {
		t.Errorf("%d counts", n)
	}
}

func TestWhoWasRightBeforeGetsInBesideAFloodFromTheSameAddress(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	begin(t, h, "alice", "192.0.2.1").Passed()
	for i := range 40 {
		begin(t, h, fmt.Sprintf("user-%d", i), "192.0.2.1")
	}
	refused(t, h, "bob", "192.0.2.1")
	if try := begin(t, h, "alice", "192.0.2.1"); !try.Known {
		t.Error("unknown")
	}
	for range 4 {
		begin(t, h, "alice", "192.0.2.1")
	}
	refused(t, h, "alice", "192.0.2.1") // guesses at the name itself are bounded all the same
}

func TestAnAddressIsCleanUntilItSendsMoreThanOnePersonWould(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	first := begin(t, h, "alice", "192.0.2.1")
	if !first.Clean() {
		t.Error("the first one")
	}
	second := begin(t, h, "bob", "192.0.2.1")
	if first.Clean() || second.Clean() {
		t.Error("two at once")
	}
	first.Done()
	first.Done() // twice is fine
	if !second.Clean() {
		t.Error("who mistyped once")
	}
	second.Done()
	if begin(t, h, "alice", "192.0.2.1").Clean() {
		t.Error("who mistyped twice")
	}
	other := begin(t, h, "alice", "192.0.2.2")
	if !other.Clean() {
		t.Error("another address")
	}
	other.Done()
	now = now.Add(16 * time.Minute)
	if !begin(t, h, "alice", "192.0.2.2").Clean() {
		t.Error("long after")
	}
}
