package wampx

import (
	"context"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// PublishOptions say how a publication is made. The zero PublishOptions ask for an acknowledgement.
type PublishOptions struct {
	// Unacknowledged hands the publication over and does not wait to learn whether it was accepted.
	Unacknowledged bool
	// KeepMe has the publisher receive its own event where it is subscribed.
	KeepMe bool
	// EligibleAuthID restricts the receivers; nil does not.
	EligibleAuthID []string
	// EligibleAuthRole restricts the receivers; nil does not.
	EligibleAuthRole []string
}

func (o PublishOptions) dict() wamp.Dict {
	d := wamp.Dict{}
	if !o.Unacknowledged {
		d["acknowledge"] = true
	}
	if o.KeepMe {
		d["exclude_me"] = false
	}
	if o.EligibleAuthID != nil {
		d["eligible_authid"] = anyList(o.EligibleAuthID)
	}
	if o.EligibleAuthRole != nil {
		d["eligible_authrole"] = anyList(o.EligibleAuthRole)
	}
	return d
}

// Publish publishes an event of the contract as args[0] and, unless told otherwise, waits for the acknowledgement.
func Publish[E any](ctx context.Context, s *Session, t wire.Topic[E], event E, o PublishOptions) error {
	return errs.Wrap("publish "+t.URI, s.PublishURI(ctx, t.URI, []any{event}, nil, o))
}

// PublishURI publishes to any topic and, unless told otherwise, waits for the acknowledgement.
func (s *Session) PublishURI(ctx context.Context, uri string, args []any, kwargs map[string]any, o PublishOptions) error {
	list, dict, err := outgoing(args, kwargs)
	if err != nil {
		return err
	}
	build := func(id wamp.ID) wamp.Message {
		return &wamp.Publish{Request: id, Options: o.dict(), Topic: wamp.URI(uri), Arguments: list, ArgumentsKw: dict}
	}
	if o.Unacknowledged {
		_, err = s.start(ctx, nil, build)
		return err
	}
	_, err = s.request(ctx, &waiter{kind: wamp.PUBLISH}, build)
	return err
}

// Submission is a publication whose acknowledgement is still awaited.
type Submission struct {
	s  *Session
	id wamp.ID
	w  *waiter
}

// Submit publishes and returns at once; Wait of the Submission tells what became of it. Many may be under way, and they
// reach the router in the order of their Submits.
func (s *Session) Submit(ctx context.Context, uri string, args []any, kwargs map[string]any) (*Submission, error) {
	list, dict, err := outgoing(args, kwargs)
	if err != nil {
		return nil, err
	}
	w := &waiter{kind: wamp.PUBLISH, answers: newMailbox[wamp.Message](1)}
	id, err := s.start(ctx, w, func(id wamp.ID) wamp.Message {
		return &wamp.Publish{Request: id, Options: PublishOptions{}.dict(), Topic: wamp.URI(uri), Arguments: list, ArgumentsKw: dict}
	})
	if err != nil {
		return nil, err
	}
	return &Submission{s, id, w}, nil
}

// Wait waits for the acknowledgement. It is called once.
func (p *Submission) Wait(ctx context.Context) error {
	_, err := p.s.wait(ctx, p.w)
	if err != nil {
		p.s.forget(p.id)
	}
	return err
}

// Testament leaves an event of the contract with the router, which publishes it when the session is over.
func Testament[E any](ctx context.Context, s *Session, t wire.Topic[E], event E) error {
	list, _, err := outgoing([]any{event}, nil)
	if err != nil {
		return err
	}
	_, _, err = s.CallURI(ctx, string(wamp.MetaProcSessionAddTestament), []any{t.URI, []any(list), map[string]any{}}, nil, nil)
	return errs.Wrap("testament "+t.URI, err)
}

func anyList(texts []string) wamp.List {
	list := make(wamp.List, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}
