package core

import (
	"slices"
	"strings"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// testament is what a session wants published when it has left.
type testament struct {
	publish *message.Publish
	size    int // for the quota
}

// The scopes of testaments, in the order in which they are published: no session of ours is detached without being
// destroyed (WAMP, "Session Testament").
const (
	detached = iota
	destroyed
)

var scopeNames = []string{detached: "detached", destroyed: "destroyed"}

func (c *metaCall) scope() (int, error) {
	name, given, err := kwarg[string](c.kwargs, "scope")
	if err != nil {
		return 0, err
	}
	if !given {
		return destroyed, nil
	}
	scope := slices.Index(scopeNames, name)
	if scope < 0 {
		return 0, invalidArgument(`scope is neither "detached" nor "destroyed"`)
	}
	return scope, nil
}

// addTestament answers wamp.session.add_testament. The session must be allowed to publish what it wants to be published.
func addTestament(r *Realm, c *metaCall) ([]any, error) {
	scope, err := c.scope()
	if err != nil {
		return nil, err
	}
	p, err := c.testament()
	if err != nil {
		return nil, err
	}
	s := c.caller
	if p.Options.Passthru != nil && !s.details.Features.PublishPassthru {
		return nil, errs.E(wire.Invalid, "payload passthru was not announced for the role publisher")
	}
	if err := checkPassthru(p.Options.Passthru); err != nil {
		return nil, err
	}
	if _, err := r.may(s, realms.Publish, pattern{realms.Exact, p.Topic}); err != nil {
		return nil, err
	}
	if err := r.takeTestament(s, c.size); err != nil {
		return nil, err
	}
	s.testaments[scope] = append(s.testaments[scope], testament{p, c.size})
	return nil, nil
}

func (r *Realm) takeTestament(s *Session, size int) error {
	if err := r.take(s, testaments, 1); err != nil {
		return err
	}
	if err := r.take(s, testamentBytes, size); err != nil {
		r.ledger.give(s, testaments, 1)
		return err
	}
	return nil
}

// testament reads the publication from the arguments.
func (c *metaCall) testament() (*message.Publish, error) {
	topic, err := arg[string](c, 0, "topic")
	if err != nil {
		return nil, err
	}
	args, err := optionalArg[[]any](c, 1, "args")
	if err != nil {
		return nil, err
	}
	kwargs, err := optionalArg[message.Dict](c, 2, "kwargs")
	if err != nil {
		return nil, err
	}
	raw, _, err := kwarg[message.Dict](c.kwargs, "publish_options")
	if err != nil {
		return nil, err
	}
	options, err := publishOptions(raw)
	if err != nil {
		return nil, err
	}
	payload, err := message.NewPayload(message.CBOR, args, kwargs)
	if err != nil {
		return nil, invalidArgument("the arguments of the testament cannot be kept")
	}
	return &message.Publish{Topic: strings.Clone(topic), Options: options, Payload: payload}, nil
}

// publishOptions reads what the decoder reads of PUBLISH. A testament is not acknowledged: nobody is there to be told.
func publishOptions(raw message.Dict) (o message.PublishOptions, err error) {
	excludeMe := true
	if _, given, e := kwarg[bool](raw, "exclude_me"); e != nil {
		return o, e
	} else if given {
		excludeMe = raw["exclude_me"] == true
	}
	o.KeepMe = !excludeMe
	read := func(name string, into any) {
		if err == nil {
			err = readPublishOption(raw, name, into)
		}
	}
	read("disclose_me", &o.DiscloseMe)
	read("retain", &o.Retain)
	read("exclude", &o.Exclude)
	read("exclude_authid", &o.ExcludeAuthID)
	read("exclude_authrole", &o.ExcludeAuthRole)
	read("eligible", &o.Eligible)
	read("eligible_authid", &o.EligibleAuthID)
	read("eligible_authrole", &o.EligibleAuthRole)
	var ppt message.Passthru
	read("ppt_scheme", &ppt.Scheme)
	read("ppt_serializer", &ppt.Serializer)
	read("ppt_cipher", &ppt.Cipher)
	read("ppt_keyid", &ppt.KeyID)
	if ppt != (message.Passthru{}) {
		o.Passthru = kept(&ppt)
	}
	return o, err
}

func readPublishOption(raw message.Dict, name string, into any) (err error) {
	switch into := into.(type) {
	case *[]message.ID:
		*into, _, err = kwarg[[]message.ID](raw, name)
	case *[]string:
		*into, _, err = kwarg[[]string](raw, name)
		*into = cloned(newList(*into)).items
	default:
		err = readOption(raw, name, into)
	}
	return err
}

// flushTestaments answers wamp.session.flush_testaments.
func flushTestaments(r *Realm, c *metaCall) ([]any, error) {
	scope, err := c.scope()
	if err != nil {
		return nil, err
	}
	r.dropTestaments(c.caller, scope)
	return nil, nil
}

func (r *Realm) dropTestaments(s *Session, scope int) (dropped []testament) {
	dropped, s.testaments[scope] = s.testaments[scope], nil
	for _, t := range dropped {
		r.ledger.give(s, testaments, 1)
		r.ledger.give(s, testamentBytes, t.size)
	}
	return dropped
}

// publishTestaments publishes what a session that has left wanted, as far as it still may.
func (r *Realm) publishTestaments(s *Session, now time.Time) {
	clear(s.allowed) // what was allowed when the testament was made may be so no more
	for scope := range s.testaments {
		for _, t := range r.dropTestaments(s, scope) {
			if _, _, err := r.submit(s, t.publish, now); err != nil {
				r.counts.Unrouted++
			}
		}
	}
}
