package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"bulkhead/backend/account/throttle"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// admitted reports whether the next try from an address is read.
func admitted(t *testing.T, h *throttle.Throttle, address string) bool {
	t.Helper()
	err := h.Admit(address)
	if kind := errs.KindOf(err); kind != "" && kind != wire.Exhausted {
		t.Fatal(err)
	}
	return err == nil
}

func TestWhoGoesOnTryingInVainIsRefusedUnread(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	for i := range 5 {
		if !admitted(t, h, "192.0.2.1") {
			t.Fatalf("try %d is not read", i+1)
		}
		begin(t, h, fmt.Sprintf("user-%d", i), "192.0.2.1").Void() // whether they were looked at or not
	}
	if admitted(t, h, "192.0.2.1") || admitted(t, h, "::ffff:192.0.2.1") {
		t.Error("the sixth is read")
	}
	if !admitted(t, h, "192.0.2.2") {
		t.Error("another address waits")
	}
	read := 0
	for range 600 {
		if now = now.Add(100 * time.Millisecond); admitted(t, h, "192.0.2.1") {
			begin(t, h, "alice", "192.0.2.1").Void()
			read++
		}
	}
	if read != 12 {
		t.Errorf("%d are read in a minute, not one each five seconds", read)
	}
}

func TestWhoIsRightHasTriedNothingInVain(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	for i := range 20 { // an office in the morning, behind one address
		if !admitted(t, h, "192.0.2.1") {
			t.Fatalf("person %d is not read", i+1)
		}
		begin(t, h, fmt.Sprintf("user-%d", i), "192.0.2.1").Passed()
	}
	for range 20 {
		_, _ = h.Begin("user-99", "192.0.2.1") // somebody else's guesses
	}
	if !admitted(t, h, "192.0.2.1") {
		t.Error("they are locked out by others from where they were right before")
	}
}

func TestWhereAllHaveToWaitNothingIsRead(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	for i := range throttle.Default.Address {
		begin(t, h, fmt.Sprintf("user-%d", i), "192.0.2.1")
	}
	now = now.Add(14 * time.Minute)
	if admitted(t, h, "192.0.2.1") {
		t.Error("read before the wait is over")
	}
	now = now.Add(time.Minute)
	if !admitted(t, h, "192.0.2.1") {
		t.Error("not read after it")
	}
}

func TestWhoWasSentAwayAndComesBackIsToldFromAFlood(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	try := func(address string) *throttle.Try {
		y := begin(t, h, "alice", address)
		t.Cleanup(y.Done)
		return y
	}
	sentAway := func(address string) {
		y := begin(t, h, "alice", address)
		y.Void()
		y.Done()
	}
	if try("192.0.2.1").Back() {
		t.Error("who is new")
	}
	sentAway("192.0.2.2")
	if try("192.0.2.2").Back() {
		t.Error("who comes back at once")
	}
	sentAway("192.0.2.3")
	now = now.Add(2 * time.Second)
	if !try("192.0.2.3").Back() {
		t.Error("who comes back after a while")
	}
	if try("192.0.2.3").Back() {
		t.Error("two at once")
	}
	for range 3 {
		sentAway("192.0.2.4")
		now = now.Add(2 * time.Second)
	}
	if try("192.0.2.4").Back() {
		t.Error("who comes again and again")
	}
	begin(t, h, "alice", "192.0.2.5").Done()
	sentAway("192.0.2.5")
	now = now.Add(2 * time.Second)
	if try("192.0.2.5").Back() {
		t.Error("who was wrong")
	}
}

func TestALogTellsOfAFewAndForHowManyTheyStand(t *testing.T) {
	t.Parallel()
	var l throttle.Lines
	now, told, stood := time.Now(), 0, int64(0)
	for range 10_000 {
		now = now.Add(5 * time.Millisecond)
		if n, tell := l.Take(now); tell {
			told++
			stood += n
		}
	}
	if told != 25 { // five in each of five windows
		t.Errorf("%d lines", told)
	}
	if n, _ := l.Take(now.Add(time.Minute)); stood+n != 10_001 {
		t.Errorf("they stand for %d", stood+n)
	}
}
