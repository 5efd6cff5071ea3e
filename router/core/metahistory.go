package core

import (
	"slices"
	"time"

	"bulkhead/router/message"
)

// pastQuery says which events of a history are asked for (WAMP, "Event History", receiving).
type pastQuery struct {
	who     message.Identity
	topic   string // "": any
	limit   int    // 0: all
	reverse bool

	from, after, before, until         time.Time // zero: not given
	fromID, afterID, beforeID, untilID message.ID
}

// subscriptionEvents answers wamp.subscription.get_events. Who may have the subscription may have its history, but for
// events that were published for others.
func subscriptionEvents(r *Realm, c *metaCall) ([]any, error) {
	sub, err := r.knownSubscription(c)
	if err != nil {
		return nil, err
	}
	q, err := c.pastQuery()
	if err != nil {
		return nil, err
	}
	events := []any{} // an empty answer is a list, too
	if sub.history != nil {
		for _, past := range q.choose(sub.history.events) {
			events = append(events, past.describe())
		}
	}
	return []any{events}, nil
}

func (c *metaCall) pastQuery() (q pastQuery, err error) {
	q.who = c.caller.identity
	read := func(name string, into any) {
		if err == nil {
			err = readOption(c.kwargs, name, into)
		}
	}
	var limit message.ID
	read("topic", &q.topic)
	read("reverse", &q.reverse)
	read("limit", &limit)
	read("from_time", &q.from)
	read("after_time", &q.after)
	read("before_time", &q.before)
	read("until_time", &q.until)
	read("from_publication", &q.fromID)
	read("after_publication", &q.afterID)
	read("before_publication", &q.beforeID)
	read("until_publication", &q.untilID)
	if err == nil && limit == 0 && len(c.args) > 1 { // as earlier drafts have it
		limit, err = optionalArg[message.ID](c, 1, "limit")
	}
	q.limit = int(limit)
	return q, err
}

// readOption reads a keyword argument into what a pointer points to, and leaves that alone where there is none.
func readOption(kwargs message.Dict, name string, into any) (err error) {
	switch into := into.(type) {
	case *time.Time:
		text, given, err := kwarg[string](kwargs, name)
		if err != nil || !given {
			return err
		}
		if *into, err = time.Parse(time.RFC3339, text); err != nil {
			return invalidArgument("%s is not a time as of RFC 3339", name)
		}
		return nil
	case *string:
		*into, _, err = kwarg[string](kwargs, name)
	case *bool:
		*into, _, err = kwarg[bool](kwargs, name)
	case *message.ID:
		*into, _, err = kwarg[message.ID](kwargs, name)
	}
	return err
}

// choose gives the events that are asked for, in the order that is asked for.
func (q *pastQuery) choose(events []pastEvent) []pastEvent {
	chosen := slices.DeleteFunc(slices.Clone(q.window(events)), func(p pastEvent) bool { return !q.wants(p) })
	if q.reverse {
		slices.Reverse(chosen)
	}
	if q.limit > 0 && q.limit < len(chosen) {
		chosen = chosen[:q.limit]
	}
	return chosen
}

// window cuts the events at the publications that are named. One that is not kept any more begins or ends nothing:
// there is nothing from there on, or up to there.
func (q *pastQuery) window(events []pastEvent) []pastEvent {
	begin, end := 0, len(events)
	at := func(id message.ID) int {
		return slices.IndexFunc(events, func(p pastEvent) bool { return p.event.Publication == id })
	}
	for _, bound := range []struct {
		id     message.ID
		lower  bool
		offset int
	}{{q.fromID, true, 0}, {q.afterID, true, 1}, {q.beforeID, false, 0}, {q.untilID, false, 1}} {
		if bound.id == 0 {
			continue
		}
		i := at(bound.id)
		switch {
		case i < 0:
			return nil
		case bound.lower:
			begin = max(begin, i+bound.offset)
		default:
			end = min(end, i+bound.offset)
		}
	}
	return events[min(begin, end):end]
}

func (q *pastQuery) wants(p pastEvent) bool {
	return (p.lists == nil || p.lists.admitPrincipal(q.who)) &&
		(q.topic == "" || q.topic == p.topic) &&
		(q.from.IsZero() || !p.at.Before(q.from)) &&
		(q.after.IsZero() || p.at.After(q.after)) &&
		(q.before.IsZero() || p.at.Before(q.before)) &&
		(q.until.IsZero() || !p.at.After(q.until))
}

func (p *pastEvent) describe() message.Dict {
	e := p.event
	d := message.Dict{
		"timestamp": timestamp(p.at), "subscription": e.Subscription, "publication": e.Publication,
		"details": describeDetails(&e.Details),
	}
	args, kwargs, err := e.Payload.Decode()
	if err == nil && args != nil {
		d["args"] = args
	}
	if err == nil && kwargs != nil {
		d["kwargs"] = kwargs
	}
	return d
}

func describeDetails(e *message.EventDetails) message.Dict {
	d := message.Dict{}
	if e.Topic != "" {
		d["topic"] = e.Topic
	}
	if who := e.Publisher; who.Session != 0 {
		d["publisher"], d["publisher_authid"], d["publisher_authrole"] = who.Session, who.AuthID, who.AuthRole
	}
	describePassthru(e.Passthru, d)
	return d
}

func describePassthru(p *message.Passthru, into message.Dict) {
	if p == nil {
		return
	}
	for name, text := range map[string]string{
		"ppt_scheme": p.Scheme, "ppt_serializer": p.Serializer, "ppt_cipher": p.Cipher, "ppt_keyid": p.KeyID,
		"enc_algo": p.EncAlgo, "enc_serializer": p.EncSerializer, "enc_key": p.EncKey,
	} {
		if text != "" {
			into[name] = text
		}
	}
}
