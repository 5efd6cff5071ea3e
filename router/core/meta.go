package core

import (
	"math"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// metaCall is a call of one of the router's own procedures.
type metaCall struct {
	caller *Session
	args   []any
	kwargs message.Dict
	size   int // of the arguments, encoded
	now    time.Time
}

// metaProcedure answers with one value, or with none where it gives nothing at all.
type metaProcedure func(r *Realm, c *metaCall) ([]any, error)

// ownAffair marks the procedures that concern nothing but the calling session, and need no leave to be called; what they
// bring about is authorized by itself.
var ownAffair = map[string]metaProcedure{
	"wamp.session.add_testament":    addTestament,
	"wamp.session.flush_testaments": flushTestaments,
}

var metaProcedures = map[string]metaProcedure{
	"wamp.session.count":            sessionCount,
	"wamp.session.list":             sessionList,
	"wamp.session.get":              sessionGet,
	"wamp.session.kill":             sessionKill,
	"wamp.session.kill_by_authid":   sessionKillByAuthID,
	"wamp.session.kill_by_authrole": sessionKillByAuthRole,
	"wamp.session.kill_all":         sessionKillAll,

	"wamp.subscription.list":              subscriptionList,
	"wamp.subscription.lookup":            subscriptionLookup,
	"wamp.subscription.match":             subscriptionMatch,
	"wamp.subscription.get":               subscriptionGet,
	"wamp.subscription.list_subscribers":  subscriptionSubscribers,
	"wamp.subscription.count_subscribers": subscriptionCount,
	"wamp.subscription.get_events":        subscriptionEvents,

	"wamp.registration.list":          registrationList,
	"wamp.registration.lookup":        registrationLookup,
	"wamp.registration.match":         registrationMatch,
	"wamp.registration.get":           registrationGet,
	"wamp.registration.list_callees":  registrationCallees,
	"wamp.registration.count_callees": registrationCount,
}

// callMeta answers a call of the router itself.
func (r *Realm) callMeta(s *Session, m *message.Call, now time.Time) error {
	procedure := ownAffair[m.Procedure]
	if procedure == nil {
		if _, err := r.may(s, realms.Call, pattern{realms.Exact, m.Procedure}); err != nil {
			return err
		}
		procedure = metaProcedures[m.Procedure]
	}
	if procedure == nil {
		return errNoSuchProcedure
	}
	if m.Options.Progress || m.Options.Passthru != nil {
		return errUnsupported
	}
	args, kwargs, err := m.Payload.Decode()
	if err != nil {
		return invalidArgument("the arguments cannot be read")
	}
	results, err := procedure(r, &metaCall{caller: s, args: args, kwargs: kwargs, size: m.Payload.Size(), now: now})
	if err != nil {
		return err
	}
	r.send(s, &message.Result{Request: m.Request, Payload: payloadOf(results, nil)})
	return nil
}

func invalidArgument(text string, args ...any) error { return errs.E(wire.Invalid, text, args...) }

// arg reads a positional argument, which must be there.
func arg[T any](c *metaCall, i int, name string) (v T, err error) {
	if i >= len(c.args) {
		return v, invalidArgument("argument %d, %s, is missing", i, name)
	}
	v, ok := convert[T](c.args[i])
	if !ok {
		return v, invalidArgument("argument %d, %s, has the wrong type", i, name)
	}
	return v, nil
}

// optionalArg reads a positional argument that may be absent or null.
func optionalArg[T any](c *metaCall, i int, name string) (v T, err error) {
	if i >= len(c.args) || c.args[i] == nil {
		return v, nil
	}
	return arg[T](c, i, name)
}

// kwarg reads a keyword argument, which may be absent or null.
func kwarg[T any](kwargs message.Dict, name string) (v T, given bool, err error) {
	raw := kwargs[name]
	if raw == nil {
		return v, false, nil
	}
	v, ok := convert[T](raw)
	if !ok {
		return v, false, invalidArgument("%s has the wrong type", name)
	}
	return v, true, nil
}

// convert reads what the decoder gave as a T: an id from either kind of integer, a list from a list of such.
func convert[T any](raw any) (v T, ok bool) {
	switch into := any(&v).(type) {
	case *message.ID:
		*into, ok = toID(raw)
	case *[]message.ID:
		*into, ok = toList[message.ID](raw)
	case *[]string:
		*into, ok = toList[string](raw)
	default:
		v, ok = raw.(T)
	}
	return v, ok
}

func toID(raw any) (message.ID, bool) {
	n, ok := raw.(uint64)
	if i, signed := raw.(int64); signed && i >= 0 {
		n, ok = uint64(i), true
	}
	// JavaScript has one kind of number: its MessagePack and CBOR libraries write a large id as a float.
	if f, float := raw.(float64); float && f >= 1 && f <= float64(message.MaxID) && f == math.Trunc(f) {
		n, ok = uint64(f), true
	}
	return message.ID(n), ok && n >= 1 && n <= uint64(message.MaxID)
}

func toList[T any](raw any) ([]T, bool) {
	items, ok := raw.([]any)
	if !ok {
		return nil, false
	}
	list := make([]T, len(items)) // not nil: an empty list is a list
	for i, item := range items {
		if list[i], ok = convert[T](item); !ok {
			return nil, false
		}
	}
	return list, true
}

// timestamp is how the meta API writes times.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
