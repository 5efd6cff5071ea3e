package gateway_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/router/gateway"
	"bulkhead/wire"
)

// enter brings both ends of a tunnel whose user's end is inside; the device's answers what it is sent.
func (s *stage) enter(p gateway.Pass) (user, device mux.Session) {
	s.t.Helper()
	p.Inside = true
	device = s.bringDevice(s.admit(p))
	user, err := s.Enter(s.t.Context(), p.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return user, device
}

// bringDevice brings a device that answers what it is sent.
func (s *stage) bringDevice(tickets gateway.Tickets) mux.Session {
	s.t.Helper()
	ws, err := s.dial(wire.TunnelPathDevice, tickets.Device)
	if err != nil {
		s.t.Fatal(err)
	}
	device, err := mux.Server(ws, limits)
	if err != nil {
		s.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { echo(device, &wg) })
	s.t.Cleanup(func() { device.Close(); wg.Wait() })
	return device
}

func TestWhatGoesThroughTheServersOwnEndIsCountedAsAllElse(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	user, device := s.enter(pass("T"))
	ask(t, user, []byte("hello"))
	ask(t, user, make([]byte, 3<<20))
	if u, _ := s.Usage("T"); u.Sent != 5+3<<20 || u.Received != u.Sent || u.Streams != 2 {
		t.Errorf("used: %+v", u)
	}
	user.Close()
	<-device.Done()
	c := s.closing()
	if c.Reason != gateway.UserLeft || c.Sent != 5+3<<20 || c.Received != c.Sent || c.Streams != 2 || c.Began.IsZero() {
		t.Errorf("got %+v", c)
	}
	if got := s.book.String(); got != "opened T, stream T, stream T, closed T user_left" {
		t.Errorf("on record: %s", got)
	}
	if _, err := s.Enter(t.Context(), "T"); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("entered after the end: %v", err)
	}
	if _, err := user.Accept(); err == nil {
		t.Error("a device opened a stream")
	}
}

func TestTheServersOwnEndWaitsForTheRecord(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := newStage(t, func(_ *gateway.Config, b *book) { b.hold = hold })
	p := pass("T")
	p.Inside = true
	s.bringDevice(s.admit(p))
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Enter(soon, "T"); errs.KindOf(err) != wire.Canceled {
		t.Errorf("before it: %v", err)
	}
	close(hold)
	user, err := s.Enter(t.Context(), "T")
	if err != nil {
		t.Fatal(err)
	}
	ask(t, user, []byte("hello"))
}

func TestTheServersOwnEndIsRefusedWhatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *gateway.Config, b *book) { b.fail = errors.New("no database") })
	p := pass("T")
	p.Inside = true
	device := s.bringDevice(s.admit(p))
	if _, err := s.Enter(t.Context(), "T"); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
	<-device.Done()
	if c := s.closing(); c.Reason != gateway.NotOnBook {
		t.Errorf("got %+v", c)
	}
}

func TestOnlyTheServerEntersATunnelOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	p := pass("inside")
	p.Inside = true
	tickets := s.admit(p)
	if !tickets.User.IsZero() {
		t.Error("there is a ticket")
	}
	for _, ticket := range []gateway.Tickets{tickets, {User: tickets.Device}} {
		if _, err := s.dial(wire.TunnelPathUser, ticket.User); errs.KindOf(err) != wire.Unauthenticated {
			t.Errorf("a socket: %v", err)
		}
	}
	s.admit(pass("outside"))
	for _, id := range []string{"outside", "none", ""} {
		if _, err := s.Enter(t.Context(), id); errs.KindOf(err) != wire.Unavailable {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestTheServersOwnEndKeepsToTheLimits(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	p := pass("T")
	p.MaxStreams, p.Rate = 2, 1<<20
	user, _ := s.enter(p)
	first, err := user.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := user.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := user.Open(t.Context()); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("a third stream: %v", err)
	}
	_ = first.Close()
	_ = first.Close() // twice frees one place
	began := time.Now()
	ask(t, user, make([]byte, 1<<19))
	if took := time.Since(began); took < 200*time.Millisecond { // half a second, less the burst
		t.Errorf("half a MiB went through in %s", took)
	}
	if _, err := user.Open(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := user.Open(t.Context()); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("one beyond: %v", err)
	}
}

func TestTheServersOwnEndIsKilledWithTheDevices(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	user, device := s.enter(pass("T"))
	stream, err := user.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.End("T", "killed")
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		t.Error("the stream goes on")
	}
	<-user.Done()
	<-device.Done()
	if c := s.closing(); c.Reason != "killed" || c.Streams != 1 {
		t.Errorf("got %+v", c)
	}
	if _, err := user.Open(t.Context()); err == nil {
		t.Error("a stream of a tunnel that ended")
	}
}

func TestTenThousandTunnelsThatNobodyEntersLeaveNothing(t *testing.T) {
	t.Parallel()
	const many = 10_000
	s := newStage(t, func(c *gateway.Config, b *book) {
		c.Tunnels, c.JoinWithin, b.closed = many, time.Hour, make(chan gateway.Closing, many+1)
	})
	first := s.admit(pass("0"))
	for i := 1; i < many; i++ {
		s.admit(pass(strconv.Itoa(i)))
	}
	if _, err := s.Admit(pass("more")); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("one more: %v", err)
	}
	for i := range many / 2 {
		s.End(strconv.Itoa(i), "killed")
	}
	for range many / 2 {
		s.closing()
	}
	if _, err := s.dial(wire.TunnelPathUser, first.User); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("a ticket of one that ended: %v", err)
	}
	s.admit(pass("more"))
	s.Close()
	for range many/2 + 1 {
		if c := s.closing(); c.Reason != gateway.Shutdown || !c.Began.IsZero() {
			t.Fatalf("got %+v", c)
		}
	}
}
