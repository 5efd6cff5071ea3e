package wampx

import (
	"context"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Call calls a procedure of the contract: the request travels as args[0], the reply comes as args[0].
func Call[Req, Rep any](ctx context.Context, s *Session, p wire.Procedure[Req, Rep], req Req) (Rep, error) {
	var rep Rep
	args, _, err := s.CallURI(ctx, p.URI, []any{req}, nil, nil)
	if err != nil {
		return rep, errs.Wrap("call "+p.URI, err)
	}
	if len(args) == 0 {
		return rep, nil
	}
	rep, err = into[Rep](args[0])
	if err != nil {
		return rep, errs.Wrap("result of "+p.URI, errs.As(wire.Internal, err, "the reply is not what was expected"))
	}
	return rep, nil
}

// CallURI calls any procedure. Where progress is not nil it gets the progressive results, in order, before CallURI
// returns. When ctx ends first, the call is cancelled at its callee.
func (s *Session) CallURI(ctx context.Context, uri string, args []any, kwargs map[string]any,
	progress func(args []any, kwargs map[string]any),
) ([]any, map[string]any, error) {
	list, dict, err := outgoing(args, kwargs)
	if err != nil {
		return nil, nil, err
	}
	options := wamp.Dict{}
	if progress != nil {
		options["receive_progress"] = true
	}
	w := &waiter{kind: wamp.CALL, answers: newMailbox[wamp.Message](maxProgress)}
	id, err := s.start(ctx, w, func(id wamp.ID) wamp.Message {
		return &wamp.Call{Request: id, Options: options, Procedure: wamp.URI(uri), Arguments: list, ArgumentsKw: dict}
	})
	if err != nil {
		return nil, nil, err
	}
	for {
		m, err := s.wait(ctx, w)
		if err != nil {
			if stopped(ctx, err) {
				s.forget(id)
				s.aside(&wamp.Cancel{Request: id, Options: wamp.Dict{"mode": "killnowait"}})
			}
			return nil, nil, err
		}
		r, ok := m.(*wamp.Result)
		if !ok {
			return nil, nil, protocolViolation(m)
		}
		resultArgs, resultKwargs := plainList(r.Arguments), plainDict(r.ArgumentsKw)
		if more, _ := r.Details["progress"].(bool); !more {
			return resultArgs, resultKwargs, nil
		}
		if progress != nil {
			progress(resultArgs, resultKwargs)
		}
	}
}
