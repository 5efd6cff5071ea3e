package router_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/router/transport"
)

// stuff fills the peer's queue so that it and the kernel's buffers are full of what it does not read.
func (p *peer) stuff(s *stage) {
	p.t.Helper()
	p.subscribe("flood.topic")
	source := s.backend(p.t, realmA)
	chunk := make([]byte, 1<<20)
	for range 8 {
		if err := source.Publish("flood.topic", wamp.Dict{"acknowledge": true}, wamp.List{chunk}, nil); err != nil {
			p.t.Fatal(err)
		}
	}
}

// F7
func TestAReceiverThatDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	stuck := s.device(t, message.JSON, a1)
	stuck.stuff(s)
	within(t, "removing its realm", func() {
		s.Apply(tenants().Edit(func(e *realms.Editor) { e.DeleteRealm(realmA) }))
	})
	other := s.device(t, message.JSON, b1)
	within(t, "another realm's answer", func() { other.subscribe("calm.waters") })
	for _, m := range stuck.broken() {
		_ = m // the events that were on their way
	}
}

// F9
func TestABurstOf20000EventsReachesWhoReads(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	const burst = 20_000
	p, q := s.device(t, message.JSON, a1), s.device(t, message.CBOR, a2)
	p.subscribe("burst.topic")
	go func() {
		for i := range burst {
			data, _ := message.Append(nil, q.format, &message.Publish{
				Request: message.ID(i + 1), Topic: "burst.topic", Payload: payload(t, q.format, []any{i}),
				Options: message.PublishOptions{Acknowledge: i == burst-1},
			})
			if err := q.ws.WriteMessage(q.kind(), data); err != nil {
				return
			}
		}
	}()
	for i := range burst {
		e := expect[*message.Event](p)
		if got := args(t, e.Payload)[0]; got != uint64(i) {
			t.Fatalf("event %d is %v", i, got)
		}
	}
	expect[*message.Published](q)
}

func TestASlowReceiverIsEndedAndTheOthersLoseNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{Queue: 256 << 10}})
	slow, fast := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	slow.subscribe("flood.topic")
	fast.subscribe("flood.topic")
	source := s.backend(t, realmA)
	chunk := make([]byte, 64<<10)
	sent := 0
	for sessions := 3; sessions == 3; sent++ {
		if err := source.Publish("flood.topic", wamp.Dict{"acknowledge": true}, wamp.List{chunk}, nil); err != nil {
			t.Fatal(err)
		}
		expect[*message.Event](fast)
		list, err := s.Sessions(realmA.Name())
		if err != nil || sent > 1000 {
			t.Fatal(sent, err)
		}
		sessions = len(list)
	}
	got := slow.broken()
	if len(got) > sent { // all but the last event, and GOODBYE
		t.Errorf("the slow receiver got %d messages, of %d events", len(got), sent)
	}
	if g, ok := got[len(got)-1].(*message.Goodbye); ok && g.Reason != "wamp.close.backpressure" {
		t.Errorf("got %s", g.Reason)
	}
}

func TestASlowReceiverIsToldHowManyEventsItLost(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{
		Limits: transport.Limits{Queue: 256 << 10},
		Slow:   func(realms.Kind, realms.Role) transport.Policy { return transport.DropOldest },
	})
	slow := s.device(t, message.MsgPack, a1)
	slow.subscribe("flood.topic")
	source := s.backend(t, realmA)
	const sent = 400
	chunk := make([]byte, 64<<10)
	for range sent {
		if err := source.Publish("flood.topic", wamp.Dict{"acknowledge": true}, wamp.List{chunk}, nil); err != nil {
			t.Fatal(err)
		}
	}
	slow.send(&message.Subscribe{Request: 99, Topic: "other.topic"}) // its reply is not dropped, and is behind all
	var got, lost uint64
	for {
		m, err := slow.next()
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := m.(*message.Event); ok {
			got, lost = got+1, lost+e.Details.Dropped
			continue
		}
		break
	}
	if got+lost != sent || lost == 0 {
		t.Errorf("got %d and was told of %d lost, of %d", got, lost, sent)
	}
}

// F8
func TestACallerThatDoesNotReadDoesNotBlockASharedCallee(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{Queue: 256 << 10}})
	callee := s.backend(t, realmA)
	big := make([]byte, 1<<20)
	err := callee.Register("history.transformed.big", func(context.Context, *wamp.Invocation) client.InvokeResult {
		return client.InvokeResult{Args: wamp.List{big}}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	small := func(context.Context, *wamp.Invocation) client.InvokeResult { return client.InvokeResult{} }
	if err := callee.Register("history.transformed.small", small, nil); err != nil {
		t.Fatal(err)
	}
	stuck, good := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	for range 20 {
		stuck.send(&message.Call{Request: stuck.id(), Procedure: "history.transformed.big"})
	}
	for range 3 {
		within(t, "a call beside a caller that does not read", func() {
			good.send(&message.Call{Request: good.id(), Procedure: "history.transformed.small"})
			expect[*message.Result](good)
		})
	}
	stuck.broken()
}

func TestADeadPeerIsNoticed(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{PingEvery: time.Second}})
	dead, live := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	live.pong()
	below := dead.ws.NetConn() // what reads the frames in it would answer
	_ = below.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, below); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("it was kept for %v", patience)
	}
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		list, err := s.Sessions(realmA.Name())
		if err == nil && len(list) == 1 && list[0].AuthID == string(a2.Serial) {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("there are %v %v", list, err)
		}
	}
}

// F5
func TestStrangersThatDoNotReadDelayNoJoin(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for i := range 10 {
		p := s.dial(t, message.JSON)
		p.send(hello(fmt.Sprintf("realm-%d-1-dev", i+1), "x", "wampcra"))
	}
	within(t, "a join", func() { s.device(t, message.JSON, a1) })
}

func TestSessionsThatSendHalfOfLargeMessagesDoNotTakeAllMemory(t *testing.T) {
	t.Parallel()
	for what, limits := range map[string]transport.Limits{
		"of a realm": {RealmBytes: 3 << 20}, "of an authid": {AuthIDBytes: 3 << 20},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			sendHalves(t, limits)
		})
	}
}

func sendHalves(t *testing.T, limits transport.Limits) {
	t.Helper()
	s := newStage(t, router.Config{Limits: limits})
	half := func() *peer {
		p := s.device(t, message.CBOR, a1)
		// A binary frame that announces 2 MiB, and half of it.
		if _, err := p.ws.NetConn().Write(append([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 2, 3, 4}, make([]byte, 1<<20)...)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	all := []*peer{half(), half(), half(), half()}
	ended := make(chan []message.Message, len(all))
	for _, p := range all {
		go func() {
			var got []message.Message
			for {
				m, err := p.next()
				if err != nil {
					ended <- got
					return
				}
				got = append(got, m)
			}
		}()
	}
	got := <-ended
	if a, ok := got[0].(*message.Abort); !ok || a.Reason != "bulkhead.error.exhausted" {
		t.Errorf("got %+v", got)
	}
	s.device(t, message.JSON, b1).subscribe("another.realm")
	s.device(t, message.JSON, a2).subscribe("small.messages")
	if limits.RealmBytes == 0 { // another device of the realm is not touched
		p := s.device(t, message.JSON, a2)
		p.publish("large.message", strings.Repeat("x", 2<<20))
		p.subscribe("it.was.taken")
	}
	for _, p := range all {
		_ = p.ws.Close()
	}
	for range all[1:] {
		<-ended
	}
}

func TestManySlowReceiversDoNotTakeAllMemory(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := newStage(t, router.Config{Metrics: registry, Limits: transport.Limits{RealmBytes: 4 << 20}})
	var slow []*peer
	for range 8 { // each may have 8 MiB
		p := s.device(t, message.JSON, a1)
		p.subscribe("flood.topic")
		slow = append(slow, p)
	}
	source := s.backend(t, realmA)
	chunk := make([]byte, 512<<10)
	for sent := 0; read(t, registry)["overflows_total{data}"] == 0; sent++ {
		if sent > 200 {
			t.Fatal("none was ended")
		}
		if err := source.Publish("flood.topic", wamp.Dict{"acknowledge": true}, wamp.List{chunk}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if high := read(t, registry)["queue_high_water_bytes{data}"]; high > 6<<20 {
		t.Errorf("one queue had %v bytes", high)
	}
	for _, p := range slow {
		_ = p.ws.Close()
	}
}
