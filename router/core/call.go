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

// call is a call that has been passed to a callee and is not answered. It ends once, through Realm.end.
type call struct {
	caller     *Session
	request    message.ID // of the CALL
	procedure  string
	callee     *callee
	invocation message.ID // the id of the INVOCATION
	details    message.InvocationDetails

	open     bool          // the caller has announced more CALLs with the same id
	killing  bool          // canceled, but the caller waits for what the callee says
	timeout  time.Duration // between results; 0: none
	deadline deadline
}

var (
	errNoSuchProcedure = &errs.Error{Kind: wire.NotFound, User: "no such procedure", URI: "wamp.error.no_such_procedure"}
	errUnsupported     = &errs.Error{
		Kind: wire.Invalid, User: "the callee does not support what the call needs", URI: "wamp.error.feature_not_supported",
	}
)

func (r *Realm) call(s *Session, m *message.Call, now time.Time) error {
	if c := s.calls[m.Request]; c != nil {
		return r.resume(c, m)
	}
	if s.forgets(m) {
		return nil
	}
	f := s.details.Features
	if m.Options.Passthru != nil && !f.CallPassthru {
		return violation("payload passthru was not announced for the role caller")
	}
	if m.Options.Progress && !f.ProgressiveInvocationsCaller {
		return violation("progressive call invocations were not announced for the role caller")
	}
	if err := r.dispatch(s, m, now); err != nil {
		r.refuse(s, message.CodeCall, m.Request, err)
		s.stillSending(m.Request, m.Options.Progress)
	}
	return nil
}

// dispatch passes a new call to a callee, or answers it here where the router itself is called.
func (r *Realm) dispatch(s *Session, m *message.Call, now time.Time) error {
	if reserved(m.Procedure) {
		return r.callMeta(s, m, now)
	}
	if _, err := r.may(s, realms.Call, pattern{realms.Exact, m.Procedure}); err != nil {
		return err
	}
	if err := checkPassthru(m.Options.Passthru); err != nil {
		return err
	}
	g := r.registrations.best(m.Procedure)
	if g == nil {
		return errNoSuchProcedure
	}
	callee := g.pick(r.random)
	if callee == nil {
		return errs.E(wire.Unavailable, "every callee is at its concurrency limit")
	}
	if err := callee.supports(m); err != nil {
		return err
	}
	if err := r.take(s, calls, 1); err != nil {
		return err
	}
	err := r.invoke(r.newCall(s, m, callee, now), m)
	if err != nil {
		callee.session.invoked-- // it has not seen the id: the next INVOCATION has it
	}
	return err
}

func (c *callee) supports(m *message.Call) error {
	f := c.session.details.Features
	if m.Options.Passthru != nil && !f.CalleePassthru ||
		m.Options.Progress && !(f.ProgressiveInvocationsCallee && f.CallCanceling) {
		return errUnsupported
	}
	return nil
}

// newCall enters a call into the books of caller and callee.
func (r *Realm) newCall(s *Session, m *message.Call, to *callee, now time.Time) *call {
	to.session.invoked++
	c := &call{
		caller: s, request: m.Request, procedure: to.registration.pattern.uri, callee: to, invocation: to.session.invoked,
		timeout: clampTimeout(m.Options.TimeoutMs),
		details: message.InvocationDetails{ReceiveProgress: m.Options.ReceiveProgress, Passthru: kept(m.Options.Passthru)},
	}
	if to.registration.pattern.match != realms.Exact {
		c.procedure = strings.Clone(m.Procedure) // a call does not keep its frame
		c.details.Procedure = c.procedure
	}
	if r.config.Disclose || m.Options.DiscloseMe || to.disclose {
		c.details.Caller = s.identity
	}
	to.running++
	put(&s.calls, c.request, c)
	put(&to.session.invocations, c.invocation, c)
	if c.timeout > 0 {
		r.deadlines.set(c, now.Add(c.timeout))
	}
	return c
}

// invoke sends the callee what has come of the call.
func (r *Realm) invoke(c *call, m *message.Call) error {
	c.open = m.Options.Progress
	i := &message.Invocation{
		Request: c.invocation, Registration: c.callee.registration.id, Details: c.details, Payload: m.Payload,
	}
	i.Details.Progress = c.open
	err := r.send(c.callee.session, i)
	if err != nil {
		r.end(c)
	}
	return err
}

// resume passes on more of a call (WAMP, "Progressive Call Invocations"): to the same callee, with the options of the
// first CALL.
func (r *Realm) resume(c *call, m *message.Call) error {
	if !c.open || c.procedure != m.Procedure {
		return violation("the request id of CALL is that of a call that is outstanding")
	}
	if err := r.invoke(c, m); err != nil {
		r.interrupt(c, killNoWait, errs.URIOf(err))
		r.refuse(c.caller, message.CodeCall, c.request, err)
		c.caller.stillSending(c.request, m.Options.Progress)
	}
	return nil
}

// end takes a call out of all books. The caller has been, or is to be, answered; what the callee says later is dropped.
func (r *Realm) end(c *call) {
	delete(c.caller.calls, c.request)
	delete(c.callee.session.invocations, c.invocation)
	c.callee.running--
	r.deadlines.clear(c)
	r.ledger.give(c.caller, calls, 1)
	c.caller.stillSending(c.request, c.open)
}

// maxEnded bounds how many answered calls are remembered whose caller is still sending; the oldest are forgotten first.
const maxEnded = 64

// stillSending remembers that the caller, which has been answered, may send more of a call.
func (s *Session) stillSending(request message.ID, open bool) {
	if !open || slices.Contains(s.ended, request) {
		return
	}
	if len(s.ended) == maxEnded {
		s.ended = slices.Delete(s.ended, 0, 1)
	}
	s.ended = append(s.ended, request)
}

// forgets reports whether a CALL is the rest of a call that has been answered; it is dropped without an answer.
func (s *Session) forgets(m *message.Call) bool {
	at := slices.Index(s.ended, m.Request)
	if at < 0 {
		return false
	}
	if !m.Options.Progress {
		s.ended = slices.Delete(s.ended, at, at+1)
	}
	return true
}
