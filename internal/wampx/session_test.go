package wampx_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/transport"

	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

type sum struct {
	A int `json:"a"`
	B int `json:"b"`
}

var (
	add   = wire.Procedure[sum, int]{URI: "math.add"}
	fails = wire.Procedure[string, int]{URI: "always.fails"}
	news  = wire.Topic[wire.PresenceEvent]{URI: "test.news"}
)

func TestASessionCallsAndListensInEverySerializer(t *testing.T) {
	t.Parallel()
	for name, serializer := range map[string]wampx.Serializer{"json": wampx.JSON, "msgpack": wampx.MessagePack, "cbor": wampx.CBOR} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, srv := nexus(t)
			c := config(srv)
			c.Serializer = serializer
			callee, caller := dial(t, c), dial(t, c)
			if callee.AuthRole() != "device" || callee.AuthID() != "someone" || callee.ID() == caller.ID() {
				t.Errorf("joined as %q, role %q", callee.AuthID(), callee.AuthRole())
			}
			mustRegister(t, callee, add, func(_ context.Context, _ *wampx.Invocation, s sum) (int, error) { return s.A + s.B, nil })
			got, err := wampx.Call(t.Context(), caller, add, sum{2, 40})
			if err != nil || got != 42 {
				t.Errorf("2 + 40 = %d, %v", got, err)
			}
			events := make(chan wire.PresenceEvent, 1)
			if _, err := wampx.Subscribe(t.Context(), callee, news, func(_ context.Context, e wire.PresenceEvent, _ wampx.Event) { events <- e }); err != nil {
				t.Fatal(err)
			}
			sent := wire.PresenceEvent{Device: 1<<53 - 1, Serial: wire.NewSerial(), Online: true}
			if err := wampx.Publish(t.Context(), caller, news, sent, wampx.PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := <-events; got != sent {
				t.Errorf("got %+v, want %+v", got, sent)
			}
		})
	}
}

func mustRegister[Req, Rep any](t *testing.T, s *wampx.Session, p wire.Procedure[Req, Rep],
	handler func(context.Context, *wampx.Invocation, Req) (Rep, error),
) *wampx.Registration {
	t.Helper()
	r, err := wampx.Register(t.Context(), s, p, wampx.RegisterOptions{}, handler)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAPeerInTheProcessJoins(t *testing.T) {
	t.Parallel()
	r, srv := nexus(t)
	client, server := transport.LinkedPeers()
	attached := make(chan error, 1)
	go func() { attached <- r.Attach(server) }()
	s, err := wampx.FromPeer(t.Context(), client, testRealm, wampx.Options{})
	if err := errors.Join(err, <-attached); err != nil {
		t.Fatal(err)
	}
	defer closeSession(t, s)
	mustRegister(t, s, add, func(_ context.Context, _ *wampx.Invocation, s sum) (int, error) { return s.A + s.B, nil })
	if got, err := wampx.Call(t.Context(), dial(t, config(srv)), add, sum{1, 2}); err != nil || got != 3 {
		t.Errorf("1 + 2 = %d, %v", got, err)
	}
}

func TestAKindOfErrorSurvivesTheWire(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	callee, caller := dial(t, config(srv)), dial(t, config(srv))
	mustRegister(t, callee, fails, func(_ context.Context, _ *wampx.Invocation, kind string) (int, error) {
		return 0, &errs.Error{Kind: wire.Kind(kind), User: "because of " + kind, Err: errors.New("what nobody may read")}
	})
	for _, kind := range wire.Kinds {
		_, err := wampx.Call(t.Context(), caller, fails, string(kind))
		if got := errs.KindOf(err); got != kind {
			t.Errorf("%s arrives as %s (%v)", kind, got, err)
		}
		if strings.Contains(err.Error(), "nobody may read") {
			t.Errorf("the cause crossed the wire: %v", err)
		}
		if kind != wire.Internal && errs.UserText(err) != "because of "+string(kind) {
			t.Errorf("%s: text is %q", kind, errs.UserText(err))
		}
	}
	_, err := wampx.Call(t.Context(), caller, wire.Procedure[int, int]{URI: "nobody.has.this"}, 1)
	if errs.KindOf(err) != wire.NotFound || wampx.Reason(err) != "wamp.error.no_such_procedure" {
		t.Errorf("a procedure that nobody offers: %v (%s)", err, wampx.Reason(err))
	}
}

func TestARequestOfAnotherFormIsInvalid(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	callee, caller := dial(t, config(srv)), dial(t, config(srv))
	mustRegister(t, callee, add, func(context.Context, *wampx.Invocation, sum) (int, error) { return 0, nil })
	_, _, err := caller.CallURI(t.Context(), add.URI, []any{"no sum"}, nil, nil)
	if errs.KindOf(err) != wire.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestAPanicInAHandlerIsAnErrorForItsCaller(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	callee, caller := dial(t, config(srv)), dial(t, config(srv))
	mustRegister(t, callee, add, func(_ context.Context, _ *wampx.Invocation, s sum) (int, error) { return s.A / s.B, nil })
	if _, err := wampx.Call(t.Context(), caller, add, sum{1, 0}); errs.KindOf(err) != wire.Internal {
		t.Errorf("got %v", err)
	}
	if got, err := wampx.Call(t.Context(), caller, add, sum{6, 3}); err != nil || got != 2 {
		t.Errorf("the next call gets %d, %v", got, err)
	}
}

func TestASlowEventHandlerDelaysNoReply(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	s, other := dial(t, config(srv)), dial(t, config(srv))
	slow, release := make(chan struct{}, 8), make(chan struct{})
	_, err := s.SubscribeURI(t.Context(), "slow", wampx.Prefix, func(context.Context, wampx.Event) {
		slow <- struct{}{}
		<-release
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := other.PublishURI(t.Context(), "slow.topic", nil, nil, wampx.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	<-slow
	mustRegister(t, s, add, func(_ context.Context, _ *wampx.Invocation, s sum) (int, error) { return s.A + s.B, nil })
	if _, err := wampx.Call(t.Context(), s, add, sum{1, 1}); err != nil {
		t.Error(err)
	}
	close(release)
}

func TestProgressComesInOrderBeforeTheResult(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	callee, caller := dial(t, config(srv)), dial(t, config(srv))
	_, err := callee.RegisterURI(t.Context(), "count", wampx.RegisterOptions{}, func(ctx context.Context, in *wampx.Invocation) (wampx.Result, error) {
		for i := range 5 {
			if err := in.Progress(ctx, []any{i}, nil); err != nil {
				return wampx.Result{}, err
			}
		}
		return wampx.Result{Args: []any{"done"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var seen []any
	args, _, err := caller.CallURI(t.Context(), "count", nil, nil, func(args []any, _ map[string]any) { seen = append(seen, args[0]) })
	if err != nil || args[0] != "done" || !slices.Equal(seen, []any{uint64(0), uint64(1), uint64(2), uint64(3), uint64(4)}) {
		t.Errorf("progress %v, result %v, %v", seen, args, err)
	}
	if _, _, err := caller.CallURI(t.Context(), "count", nil, nil, nil); errs.KindOf(err) != wire.Invalid {
		t.Errorf("without progress: %v", err)
	}
}

func TestACallThatIsGivenUpIsCancelledAtItsCallee(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	callee, caller := dial(t, config(srv)), dial(t, config(srv))
	running, cancelled := make(chan struct{}), make(chan struct{})
	_, err := callee.RegisterURI(t.Context(), "wait", wampx.RegisterOptions{}, func(ctx context.Context, _ *wampx.Invocation) (wampx.Result, error) {
		close(running)
		<-ctx.Done()
		close(cancelled)
		return wampx.Result{}, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
	}()
	if _, _, err := caller.CallURI(ctx, "wait", nil, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-cancelled
}

func TestTooManyCallsAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	c := config(srv)
	c.MaxInvocations = 1
	callee, caller := dial(t, c), dial(t, config(srv))
	running, release := make(chan struct{}), make(chan struct{})
	_, err := callee.RegisterURI(t.Context(), "wait", wampx.RegisterOptions{}, func(context.Context, *wampx.Invocation) (wampx.Result, error) {
		close(running)
		<-release
		return wampx.Result{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() {
		_, _, err := caller.CallURI(t.Context(), "wait", nil, nil, nil)
		first <- err
	}()
	<-running
	if _, _, err := caller.CallURI(t.Context(), "wait", nil, nil, nil); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("the second call: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first call: %v", err)
	}
}

func TestATestamentIsPublishedWhenItsSessionIsLost(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	watcher, device := dial(t, config(srv)), dial(t, config(srv))
	events := make(chan wire.PresenceEvent, 1)
	if _, err := wampx.Subscribe(t.Context(), watcher, news, func(_ context.Context, e wire.PresenceEvent, _ wampx.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	if err := wampx.Testament(t.Context(), device, news, wire.PresenceEvent{Device: 7}); err != nil {
		t.Fatal(err)
	}
	closeSession(t, device)
	if got := <-events; got.Device != 7 || got.Online {
		t.Errorf("got %+v", got)
	}
}

func TestSubmissionsArriveInOrder(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	watcher, device := dial(t, config(srv)), dial(t, config(srv))
	const n = 20
	got := make(chan any, n)
	if _, err := watcher.SubscribeURI(t.Context(), "rows", wampx.Exact, func(_ context.Context, e wampx.Event) { got <- e.Args[0] }); err != nil {
		t.Fatal(err)
	}
	var pending []*wampx.Submission
	for i := range n {
		p, err := device.Submit(t.Context(), "rows", []any{i}, nil)
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for i, p := range pending {
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := <-got; v != uint64(i) {
			t.Fatalf("row %d is %v", i, v)
		}
	}
}

func TestASecondSubscriptionToATopicLivesOnAfterTheFirst(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	s, other := dial(t, config(srv)), dial(t, config(srv))
	first, second := make(chan any, 4), make(chan any, 4)
	listen := func(c chan any) *wampx.Subscription {
		sub, err := s.SubscribeURI(t.Context(), "topic", wampx.Exact, func(_ context.Context, e wampx.Event) { c <- e.Args[0] })
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	sub := listen(first)
	listen(second)
	publish := func(v any) {
		if err := other.PublishURI(t.Context(), "topic", []any{v}, nil, wampx.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	publish("a")
	if a, b := <-first, <-second; a != "a" || b != "a" {
		t.Errorf("got %v and %v", a, b)
	}
	if err := sub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish("b")
	if got := <-second; got != "b" || len(first) != 0 {
		t.Errorf("got %v, and %d for the closed one", got, len(first))
	}
}

func TestAPayloadThatCannotBeSentHarmsOnlyItsSender(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	s := dial(t, config(srv))
	var zero float64
	for name, c := range map[string]struct {
		arg  any
		kind wire.Kind
	}{
		"not a number": {zero / zero, wire.Invalid},
		"not UTF-8":    {"\xff", wire.Invalid},
		"a channel":    {make(chan int), wire.Invalid},
		"too large":    {strings.Repeat("x", 17<<20), wire.Exhausted},
	} {
		if err := s.PublishURI(t.Context(), "topic", []any{c.arg}, nil, wampx.PublishOptions{}); errs.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.PublishURI(t.Context(), "topic", nil, nil, wampx.PublishOptions{}); err != nil {
		t.Errorf("the session is broken: %v", err)
	}
}

func TestALargeMessagePasses(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	callee, caller := dial(t, config(srv)), dial(t, config(srv))
	_, err := callee.RegisterURI(t.Context(), "echo", wampx.RegisterOptions{}, func(_ context.Context, in *wampx.Invocation) (wampx.Result, error) {
		return wampx.Result{Args: in.Args}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("0123456789abcdef", 1<<18)
	args, _, err := caller.CallURI(t.Context(), "echo", []any{large}, nil, nil)
	if err != nil || args[0] != large {
		t.Errorf("%v", err)
	}
}
