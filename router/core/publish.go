package core

import (
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// publication is what is published, as receivers see it.
type publication struct {
	id       message.ID
	topic    string
	details  message.EventDetails // but for Topic
	payload  message.Payload
	audience audience
	at       time.Time
	patterns *unmatched // what is known of its topic; nil: nothing
}

func (r *Realm) publish(s *Session, m *message.Publish, now time.Time) error {
	if m.Options.Passthru != nil && !s.details.Features.PublishPassthru {
		return violation("payload passthru was not announced for the role publisher")
	}
	id, answered, err := r.submit(s, m, now)
	switch {
	case err != nil && m.Options.Acknowledge:
		r.refuse(s, message.CodePublish, m.Request, err)
	case err != nil:
		r.counts.Unrouted++
	case m.Options.Acknowledge && !answered:
		r.send(s, &message.Published{Request: m.Request, Publication: id})
	}
	return nil
}

// submit publishes what a session asks for, if it may. Where answered is true, the acknowledgement is somebody else's.
func (r *Realm) submit(s *Session, m *message.Publish, now time.Time) (id message.ID, answered bool, err error) {
	known, err := r.may(s, realms.Publish, pattern{realms.Exact, m.Topic})
	if err != nil {
		return 0, false, err
	}
	if err := checkPassthru(m.Options.Passthru); err != nil {
		return 0, false, err
	}
	p := publication{
		id: r.newID(), topic: m.Topic, payload: m.Payload, at: now, patterns: &known.patterns,
		details:  message.EventDetails{Passthru: m.Options.Passthru},
		audience: audienceOf(s, &m.Options),
	}
	if r.config.Disclose || m.Options.DiscloseMe {
		p.details.Publisher = s.identity
	}
	if m.Options.Retain {
		if err := r.retain(s, &p); err != nil {
			return 0, false, err
		}
	}
	answered = r.config.Accept != nil && r.config.Accept(s, m, p.id)
	r.route(&p)
	return p.id, answered, nil
}

// route hands a publication to everybody who is subscribed and in its audience: one event per subscription, which all
// receivers share.
func (r *Realm) route(p *publication) {
	r.matched = r.subscriptions.matching(p.topic, p.patterns, r.matched[:0])
	for i, sub := range r.matched {
		r.matched[i] = nil
		receivers := p.audience.among(sub, &r.receivers)
		if len(receivers) == 0 && sub.history == nil {
			continue
		}
		e := p.event(sub)
		if sub.history != nil {
			sub.history.keep(e, p)
		}
		if len(receivers) > 0 {
			r.config.Output.Fanout(receivers, e)
		}
		clear(r.receivers)
		r.receivers = r.receivers[:0]
	}
}

func (p *publication) event(sub *subscription) *message.Event {
	e := &message.Event{Subscription: sub.id, Publication: p.id, Details: p.details, Payload: p.payload}
	if sub.pattern.match != realms.Exact {
		e.Details.Topic = p.topic
	}
	return e
}
