package conformance

import "slices"

// The message codes of the specification.
const (
	hello, welcome, abort, challenge, authenticate, goodbye, failure = 1, 2, 3, 4, 5, 6, 8

	publish, published                                      = 16, 17
	subscribe, subscribed, unsubscribe, unsubscribed, event = 32, 33, 34, 35, 36
	call, cancel, result                                    = 48, 49, 50
	register, registered, unregister, unregistered          = 64, 65, 66, 67
	invocation, interrupt, yield                            = 68, 69, 70
)

type (
	list = []any
	dict = map[string]any
)

// peer is a client that says what it is told to say.
type peer struct {
	c       *check
	line    line
	codec   codec
	request int64
	session int64
	welcome dict
}

// everything announces all that a client can.
func everything() dict {
	on := func(names ...string) dict {
		features := dict{}
		for _, n := range names {
			features[n] = true
		}
		return dict{"features": features}
	}
	return dict{
		"publisher": on("publisher_identification", "subscriber_blackwhite_listing", "publisher_exclusion", "payload_passthru_mode"),
		"subscriber": on("publisher_identification", "pattern_based_subscription", "subscription_revocation", "event_history",
			"payload_passthru_mode"),
		"caller": on("caller_identification", "call_timeout", "call_canceling", "progressive_call_results",
			"progressive_call_invocations", "payload_passthru_mode"),
		"callee": on("caller_identification", "pattern_based_registration", "shared_registration", "call_canceling",
			"progressive_call_results", "progressive_call_invocations", "registration_revocation", "payload_passthru_mode"),
	}
}

// without takes features away from what a role announces.
func without(role string, features ...string) dict {
	all := everything()
	for _, f := range features {
		delete(all[role].(dict)["features"].(dict), f)
	}
	return all
}

// join is a client in the check's open realm.
func (c *check) join() *peer { return c.joinAs(asJSON, everything()) }

func (c *check) joinAs(as codec, roles dict) *peer {
	c.t.Helper()
	p := c.dial(as)
	p.enter(c.open(), dict{"roles": roles})
	return p
}

// two gives two clients in the check's open realm.
func (c *check) two() (a, b *peer) { return c.join(), c.join() }

// enter says HELLO and is welcomed.
func (p *peer) enter(realm string, details dict) {
	p.send(hello, realm, details)
	p.welcomed()
}

func (p *peer) welcomed() {
	w := p.expect(welcome)
	p.session, p.welcome = number(p.c, w, 1), dictAt(p.c, w, 2)
}

func (p *peer) send(elements ...any) {
	data, err := p.codec.encode(elements)
	p.c.no(err)
	p.sendRaw(data)
}

func (p *peer) sendRaw(data []byte) { p.c.no(p.line.write(data)) }

// next gives the next message, or why there is none.
func (p *peer) next() (list, error) {
	data, err := p.line.read()
	if err != nil {
		return nil, err
	}
	return p.codec.decode(data)
}

// expect gives the next message, which has to have the code.
func (p *peer) expect(code int64) list {
	m, err := p.next()
	p.c.no(err)
	if len(m) == 0 || m[0] != code {
		p.c.fail("got %v, want a message of type %d", m, code)
	}
	return m
}

// refused expects an ERROR for the request type with the URI.
func (p *peer) refused(request int64, uri string) list {
	m := p.expect(failure)
	p.c.same("the type of the refused request", at(p.c, m, 1), request)
	p.c.same("the error", at(p.c, m, 4), uri)
	return m
}

// aborted expects that the router gives the session up for the reason, and the connection with it.
func (p *peer) aborted(reason string) {
	for {
		m, err := p.next()
		p.c.no(err)
		if m[0] == int64(abort) {
			dictAt(p.c, m, 1)
			p.c.same("the reason", at(p.c, m, 2), reason)
			break
		}
	}
	_, err := p.next()
	p.c.must(err != nil, "the connection stays open")
}

// nothing shows that nothing waits for the client: the next message is the answer to a question.
func (p *peer) nothing() {
	p.ask(unsubscribe, 1)
	p.refused(unsubscribe, "wamp.error.no_such_subscription")
}

// ask sends a request with the next id.
func (p *peer) ask(code int, elements ...any) (id int64) {
	p.request++
	p.send(slices.Concat(list{code, p.request}, elements)...)
	return p.request
}

// reply expects the answer to a request.
func (p *peer) reply(code, request int64) list {
	m := p.expect(code)
	p.c.same("the request id", at(p.c, m, 1), request)
	return m
}

func (p *peer) subscribe(topic string, options dict) (subscription int64) {
	return number(p.c, p.reply(subscribed, p.ask(subscribe, options, topic)), 2)
}

// publish publishes and waits for the acknowledgement.
func (p *peer) publish(topic string, options dict, payload ...any) (publication int64) {
	all := dict{"acknowledge": true}
	for k, v := range options {
		all[k] = v
	}
	return number(p.c, p.reply(published, p.ask(publish, slices.Concat(list{all, topic}, payload)...)), 2)
}

// receive expects an EVENT for the subscription.
func (p *peer) receive(subscription int64) list {
	m := p.expect(event)
	p.c.same("the subscription", at(p.c, m, 1), subscription)
	return m
}

func (p *peer) register(procedure string, options dict) (registration int64) {
	return number(p.c, p.reply(registered, p.ask(register, options, procedure)), 2)
}

func (p *peer) call(procedure string, options dict, payload ...any) (request int64) {
	return p.ask(call, slices.Concat(list{options, procedure}, payload)...)
}

// invoked expects an INVOCATION for the registration and gives its id.
func (p *peer) invoked(registration int64) (id int64, m list) {
	m = p.expect(invocation)
	p.c.same("the registration", at(p.c, m, 2), registration)
	return number(p.c, m, 1), m
}

// meta calls a procedure of the router's and gives its only result.
func (p *peer) meta(procedure string, args ...any) any {
	m := p.reply(result, p.call(procedure, dict{}, args))
	if len(m) == 3 {
		return nil
	}
	return at(p.c, listAt(p.c, m, 3), 0)
}

// leave says GOODBYE and waits for the answer.
func (p *peer) leave() {
	p.send(goodbye, dict{}, "wamp.close.close_realm")
	m := p.expect(goodbye)
	p.c.same("the answer to GOODBYE", at(p.c, m, 2), "wamp.close.goodbye_and_out")
}

// vanish cuts the connection.
func (p *peer) vanish() { _ = p.line.Close() }

func at(c *check, m list, i int) any {
	if i >= len(m) {
		c.fail("%v has no element %d", m, i)
	}
	return m[i]
}

func number(c *check, m list, i int) int64 {
	n, ok := at(c, m, i).(int64)
	c.must(ok, "element %d of %v is not an integer", i, m)
	return n
}

func dictAt(c *check, m list, i int) dict {
	d, ok := at(c, m, i).(dict)
	c.must(ok, "element %d of %v is not a dictionary", i, m)
	return d
}

func listAt(c *check, m list, i int) list {
	l, ok := at(c, m, i).(list)
	c.must(ok, "element %d of %v is not a list", i, m)
	return l
}
