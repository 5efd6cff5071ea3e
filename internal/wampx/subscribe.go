package wampx

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// maxEvents bounds the events of one subscription that wait for their handler.
const maxEvents = 4096

// Match is how a URI given to Subscribe or Register matches.
type Match string

// The ways to match. The zero Match is Exact.
const (
	Exact    Match = "exact"
	Prefix   Match = "prefix"
	Wildcard Match = "wildcard"
)

// Event is one publication, as it came.
type Event struct {
	Topic             string
	Publication       uint64
	Publisher         uint64 // session, zero where the router does not say
	PublisherAuthID   string
	PublisherAuthRole string
	Args              []any
	Kwargs            map[string]any
	// Dropped counts the events of this subscription that were lost just before this one, here or at the router.
	Dropped uint64
}

// EventHandler looks at one event. The events of a subscription come one after the other. ctx ends with the session.
type EventHandler func(ctx context.Context, e Event)

// Subscription is one handler's interest in a topic.
type Subscription struct {
	s      *Session
	topic  string
	events *mailbox[Event]
	id     wamp.ID // guarded by Session.mu

	mu   sync.Mutex // guards lost
	lost uint64
}

// fanout is the subscriptions of a session that the router knows under one id, because they ask for the same.
type fanout struct{ members []*Subscription }

func (f *fanout) close() {
	for _, m := range f.members {
		m.events.close()
	}
}

// Subscribe has handler look at the events of a topic of the contract. An event that is not what the contract says is
// logged and left out: it is its publisher's fault.
func Subscribe[E any](ctx context.Context, s *Session, t wire.Topic[E], handler func(ctx context.Context, event E, e Event)) (*Subscription, error) {
	return s.SubscribeURI(ctx, t.URI, Exact, func(ctx context.Context, e Event) {
		if len(e.Args) == 0 {
			s.log.Warn("event without its argument", logkey.URI, t.URI, logkey.AuthID, e.PublisherAuthID)
			return
		}
		event, err := into[E](e.Args[0])
		if err != nil {
			s.log.Warn("event of another form", logkey.URI, t.URI, logkey.AuthID, e.PublisherAuthID)
			return
		}
		handler(ctx, event, e)
	})
}

// SubscribeURI has handler look at the events of every topic that uri matches.
func (s *Session) SubscribeURI(ctx context.Context, uri string, match Match, handler EventHandler) (*Subscription, error) {
	sub := &Subscription{s: s, topic: uri, events: newMailbox[Event](maxEvents)}
	w := &waiter{
		kind:   wamp.SUBSCRIBE,
		accept: func(m wamp.Message) { s.addSubscription(sub, m) },
		undo: func(m wamp.Message) {
			s.addSubscription(sub, m)
			s.group.Go(func(ctx context.Context) { _ = sub.Close(ctx) })
		},
	}
	_, err := s.request(ctx, w, func(id wamp.ID) wamp.Message {
		return &wamp.Subscribe{Request: id, Options: match.dict(), Topic: wamp.URI(uri)}
	})
	if err != nil {
		return nil, errs.Wrap("subscribe "+uri, err)
	}
	s.group.Go(func(ctx context.Context) { sub.run(ctx, handler) })
	return sub, nil
}

func (m Match) dict() wamp.Dict {
	if m == "" || m == Exact {
		return wamp.Dict{}
	}
	return wamp.Dict{"match": string(m)}
}

func (s *Session) addSubscription(sub *Subscription, m wamp.Message) {
	subscribed, ok := m.(*wamp.Subscribed)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.id = subscribed.Subscription
	f := s.subscriptions[sub.id]
	if f == nil {
		f = &fanout{}
		s.subscriptions[sub.id] = f
	}
	f.members = append(f.members, sub)
	if s.ended {
		sub.events.close()
	}
}

// Close ends the subscription. Events that are queued are still looked at.
func (sub *Subscription) Close(ctx context.Context) error {
	s := sub.s
	s.mu.Lock()
	sub.events.close()
	f, ok := s.subscriptions[sub.id]
	if ok {
		f.members = without(f.members, sub)
	}
	last := ok && len(f.members) == 0
	if last {
		delete(s.subscriptions, sub.id)
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	_, err := s.request(ctx, &waiter{kind: wamp.UNSUBSCRIBE}, func(id wamp.ID) wamp.Message {
		return &wamp.Unsubscribe{Request: id, Subscription: sub.id}
	})
	return errs.Wrap("unsubscribe "+sub.topic, err)
}

func without(members []*Subscription, sub *Subscription) []*Subscription {
	var rest []*Subscription
	for _, m := range members {
		if m != sub {
			rest = append(rest, m)
		}
	}
	return rest
}

// event queues an event for each handler that asked for it. It runs on the receive loop.
func (s *Session) event(m *wamp.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.subscriptions[m.Subscription]
	if f == nil {
		return // unsubscribed while it was on its way
	}
	for _, sub := range f.members {
		e := newEvent(sub.topic, m)
		if sub.events.putOver(e) > 0 {
			sub.mu.Lock()
			sub.lost++
			sub.mu.Unlock()
		}
	}
}

func newEvent(topic string, m *wamp.Event) Event {
	if t := text(m.Details["topic"]); t != "" {
		topic = t
	} else if t, ok := m.Details["topic"].(wamp.URI); ok {
		topic = string(t)
	}
	return Event{
		Topic:             topic,
		Publication:       uint64(m.Publication),
		Publisher:         number(m.Details["publisher"]),
		PublisherAuthID:   text(m.Details["publisher_authid"]),
		PublisherAuthRole: text(m.Details["publisher_authrole"]),
		Dropped:           number(m.Details["dropped"]),
		Args:              plainList(m.Arguments),
		Kwargs:            plainDict(m.ArgumentsKw),
	}
}

// run gives the events to the handler until there are no more.
func (sub *Subscription) run(ctx context.Context, handler EventHandler) {
	for {
		e, ok, more := sub.events.take()
		switch {
		case ok:
			sub.handle(ctx, handler, e)
		case !more:
			return
		default:
			<-sub.events.wake
		}
	}
}

func (sub *Subscription) handle(ctx context.Context, handler EventHandler, e Event) {
	sub.mu.Lock()
	lost := sub.lost
	sub.lost = 0
	sub.mu.Unlock()
	if lost > 0 {
		e.Dropped += lost
		sub.s.log.Warn("events lost: the handler is too slow", logkey.URI, sub.topic, logkey.Count, lost)
	}
	defer sub.s.recovered("event", sub.topic)
	handler(ctx, e)
}

// recovered keeps a handler's panic from ending the process. It is deferred.
func (s *Session) recovered(op, uri string) {
	if r := recover(); r != nil {
		s.log.Error("panic in a handler", slog.String(logkey.Op, op), slog.String(logkey.URI, uri),
			slog.Any(logkey.Error, r), slog.String(logkey.Stack, string(debug.Stack())))
	}
}
