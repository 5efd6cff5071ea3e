package router_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bulkhead/internal/errs"
	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// basket keeps submissions for the test to decide about.
type basket struct {
	mu   sync.Mutex
	all  []wire.Submission
	done []func(error)
	came chan struct{}
}

func newBasket() *basket { return &basket{came: make(chan struct{}, 1000)} }

func (b *basket) Accept(s wire.Submission, done func(error)) {
	b.mu.Lock()
	b.all, b.done = append(b.all, s), append(b.done, done)
	b.mu.Unlock()
	b.came <- struct{}{}
}

func (b *basket) wait(i int) (wire.Submission, func(error)) {
	for {
		b.mu.Lock()
		if i < len(b.all) {
			defer b.mu.Unlock()
			return b.all[i], b.done[i]
		}
		b.mu.Unlock()
		<-b.came
	}
}

func TestAPublicationToATableIsAnsweredWhenTheTableHasIt(t *testing.T) {
	t.Parallel()
	b := newBasket()
	s := newStage(t, router.Config{Sink: b})
	listener := s.dial(t, message.CBOR)
	listener.join(realmA.Name(), "service:ingest", serviceSecret)
	row := wire.TableTopic(projectA, app, "metrics")
	listener.subscribe(row)
	for i, f := range formats {
		p := s.device(t, f, a1)
		p.send(&message.Publish{
			Request: p.id(), Topic: row, Options: message.PublishOptions{Acknowledge: true},
			Payload: payload(t, f, []any{map[string]any{"cpu": 0.5, "device_key": 99}}),
		})
		got, done := b.wait(i)
		want := wire.Submission{
			Realm: realmA.Name(), Table: "metrics", Device: a1.Key, AuthID: string(a1.Serial),
			Args: []any{map[string]any{"cpu": 0.5, "device_key": uint64(99)}},
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
		expect[*message.Event](listener) // routed, whatever the table says
		done(nil)
		done(errors.New("a second answer")) // is ignored
		expect[*message.Published](p)
	}
}

func TestWhatATableRefusesItsPublisherIsTold(t *testing.T) {
	t.Parallel()
	b := newBasket()
	s := newStage(t, router.Config{Sink: b})
	p := s.device(t, message.JSON, a1)
	p.send(&message.Publish{
		Request: 7, Topic: wire.BulkTopic(projectA, app, "metrics"), Options: message.PublishOptions{Acknowledge: true},
	})
	got, done := b.wait(0)
	if !got.Bulk || got.Table != "metrics" {
		t.Errorf("got %+v", got)
	}
	refusal := errs.E(wire.Invalid, "column cpu: not a number")
	refusal.URI = wire.ErrInvalidRow
	done(errs.Wrap("ingest", refusal))
	e := expect[*message.Error](p)
	if e.URI != wire.ErrInvalidRow || e.RequestID != 7 || e.Request != message.CodePublish || args(t, e.Payload)[0] != "column cpu: not a number" {
		t.Errorf("got %+v", e)
	}
	p.send(&message.Publish{Request: 8, Topic: wire.TableTopic(projectA, app, "metrics"), Options: message.PublishOptions{Acknowledge: true}})
	_, done = b.wait(1)
	done(errors.New("dial tcp 10.0.0.1: password=hunter2"))
	if e := expect[*message.Error](p); args(t, e.Payload)[0] != "internal error" {
		t.Errorf("the publisher is told %v", args(t, e.Payload))
	}
}

func TestOnlyOwnTablesAreTables(t *testing.T) {
	t.Parallel()
	b := newBasket()
	s := newStage(t, router.Config{Sink: b})
	p := s.device(t, message.JSON, a1)
	for _, c := range []struct {
		topic string
		table bool
	}{
		{wire.TableTopic(projectA, app, "metrics"), true},
		{wire.BulkTopic(projectA, app, "metrics"), true},
		{wire.TableTopic(projectB, app, "metrics"), false},
		{wire.TableTopic(projectA, 78, "metrics"), false},
		{wire.TableTopic(projectA, app, "metrics") + ".more", false},
		{wire.TableTopic(projectA, app, ""), false},
		{"bulk." + wire.BulkTopic(projectA, app, "metrics"), false},
		{"weather.today", false},
	} {
		p.send(&message.Publish{Request: p.id(), Topic: c.topic, Options: message.PublishOptions{Acknowledge: true}})
		if c.table {
			_, done := b.wait(0)
			done(nil)
		}
		_, _ = p.next()
		b.mu.Lock()
		n := len(b.all)
		b.all, b.done = nil, nil
		b.mu.Unlock()
		if (n == 1) != c.table {
			t.Errorf("%s: %d submissions", c.topic, n)
		}
	}
}

// panicking panics on the rows of one device.
type panicking struct{}

func (panicking) Accept(s wire.Submission, done func(error)) {
	if s.Device == a1.Key {
		panic("a bug")
	}
	done(nil)
}

func TestAPanicEndsTheSessionThatCausedItAndNoOther(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Sink: panicking{}})
	p, q := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	topic := wire.TableTopic(projectA, app, "metrics")
	p.publish(topic)
	if a := expect[*message.Abort](p); a.Reason != "bulkhead.error.internal" || a.Details["message"] != "internal error" {
		t.Errorf("got %+v", a)
	}
	p.ended()
	q.send(&message.Publish{Request: q.id(), Topic: topic, Options: message.PublishOptions{Acknowledge: true}})
	expect[*message.Published](q)
}
