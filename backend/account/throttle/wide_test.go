package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"bulkhead/backend/account/throttle"
	"bulkhead/internal/network"
)

// customer gives addresses of networks of their own, all of which one customer of IPv6 may have.
func customer(i int) string { return fmt.Sprintf("2001:db8:7:%x::1", i) }

func TestWhoHasManyNetworksOfIPv6HasNotAsManyTries(t *testing.T) {
	t.Parallel()
	h := throttle.New(throttle.Default, time.Now)
	begin(t, h, "alice", customer(9)).Passed()
	through := 0
	for i := range 5000 {
		if _, err := h.Begin(fmt.Sprintf("user-%d", i), customer(100+i)); err == nil {
			through++
		}
	}
	if most := network.Wide * throttle.Default.Address; through != most {
		t.Errorf("%d came through, want %d", through, most)
	}
	begin(t, h, "alice", customer(9)) // who was right before from there
	begin(t, h, "alice", "2001:db8:8::1")
}

func TestAFloodFromManyNetworksOfOneCustomerIsReadNoMore(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	begin(t, h, "alice", customer(9)).Passed()
	read := 0
	for i := range 1000 {
		if admitted(t, h, customer(100+i)) {
			begin(t, h, fmt.Sprintf("user-%d", i), customer(100+i)).Void()
			read++
		}
	}
	if read != 50 {
		t.Errorf("%d are read", read)
	}
	if !admitted(t, h, customer(9)) || !admitted(t, h, "2001:db8:8::1") {
		t.Error("who was right before from there, or another customer, is not read")
	}
	now = now.Add(time.Minute)
	if !admitted(t, h, customer(1)) {
		t.Error("a minute later")
	}
}

func TestWhoHasManyNetworksOfIPv6IsNotNewAgainAndAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := throttle.New(throttle.Default, func() time.Time { return now })
	try := func(i int) *throttle.Try {
		y := begin(t, h, "alice", customer(i))
		defer y.Done()
		return y
	}
	if !try(1).Clean() {
		t.Fatal("the first is not clean")
	}
	for i := range 30 {
		try(100 + i).Void()
	}
	now = now.Add(3 * time.Second)
	if y := try(200); y.Clean() {
		t.Error("one more network of theirs is clean")
	}
	if y := try(129); y.Back() {
		t.Error("what was sent away with the others counts as somebody who comes back")
	}
	if y := begin(t, h, "alice", "2001:db8:8::1"); !y.Clean() {
		t.Error("another customer is not clean")
	}
}
