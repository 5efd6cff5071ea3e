package core

import (
	"strings"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// HistoryRule keeps the newest events of a subscription, whether or not anybody is subscribed.
type HistoryRule struct {
	Match  realms.Match
	Topic  string
	Events int // how many to keep; a rule with 0 is ignored
	Bytes  int // how many bytes of topics and payload to keep; 0: 1 MiB
}

const defaultHistoryBytes = 1 << 20

// history is what is kept of one subscription, the oldest first.
type history struct {
	maxEvents, maxBytes int
	events              []pastEvent
	bytes               int
}

type pastEvent struct {
	event *message.Event
	topic string
	lists *lists
	at    time.Time
	size  int
}

// openHistories makes the subscriptions that keep events; they stay for the life of the realm.
func (r *Realm) openHistories(rules []HistoryRule, now time.Time) {
	for _, rule := range rules {
		p := pattern{rule.Match, rule.Topic}
		if rule.Events <= 0 || r.subscriptions.get(p) != nil {
			continue
		}
		h := &history{maxEvents: rule.Events, maxBytes: rule.Bytes}
		if h.maxBytes <= 0 {
			h.maxBytes = defaultHistoryBytes
		}
		r.newSubscription(p, now).history = h
	}
}

// keep adds an event and forgets the oldest that are too many. Not kept is what was meant for certain sessions, because
// sessions do not last (WAMP, "Event History", security aspects), and what the router tells only to some.
func (h *history) keep(e *message.Event, p *publication) {
	l := p.audience.lists
	if l != nil && l.namesSessions() || p.audience.knows != nil {
		return
	}
	past := pastEvent{topic: strings.Clone(p.topic), lists: l.kept(), at: p.at}
	past.size = len(p.topic) + p.payload.Size() + p.details.Passthru.Size() + l.size()
	if past.size > h.maxBytes {
		return
	}
	own := *e
	own.Payload, own.Details.Passthru = e.Payload.Clone(), kept(e.Details.Passthru)
	if own.Details.Topic != "" {
		own.Details.Topic = past.topic
	}
	past.event = &own
	h.events = append(h.events, past)
	h.bytes += past.size
	for len(h.events) > h.maxEvents || h.bytes > h.maxBytes {
		h.bytes -= h.events[0].size
		h.events[0] = pastEvent{}
		h.events = h.events[1:]
	}
}
