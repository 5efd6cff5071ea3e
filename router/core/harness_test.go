package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
)

// rig is a realm, its sessions and what they were sent. Messages are compared as text: see show.
type rig struct {
	t      testing.TB
	realm  *Realm
	now    time.Time
	lastID message.ID
	sent   map[*Session][]string
	full   map[*Session]bool // sessions that can take nothing
	closed map[*Session]bool
	names  map[message.ID]string // of sessions, subscriptions and registrations

	requests message.ID
	fanouts  int
}

var epoch = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// newRig makes a realm where everybody may do everything, unless the configuration says otherwise.
func newRig(t testing.TB, change ...func(*Config)) *rig {
	g := &rig{
		t: t, now: epoch, sent: map[*Session][]string{}, full: map[*Session]bool{}, closed: map[*Session]bool{},
		names: map[message.ID]string{}, lastID: 1000,
	}
	n := uint64(1 << 20)
	c := Config{
		Output:    g,
		Authorize: func(*Session, realms.Action, string, realms.Match) bool { return true },
		MayKnow:   func(_, _ *Session) bool { return true },
		Random:    func() uint64 { n++; return n << 11 },
	}
	for _, f := range change {
		f(&c)
	}
	g.realm = NewRealm(c, g.now)
	return g
}

var everything = ClientFeatures{true, true, true, true, true, true, true, true}

// join joins a session whose name is its authid, too; a name like "ann/2" is the second session of ann.
func (g *rig) join(name string, change ...func(*realms.Principal, *Details)) *Session {
	g.t.Helper()
	s, err := g.tryJoin(name, change...)
	if err != nil {
		g.t.Fatalf("%s cannot join: %v", name, err)
	}
	return s
}

func (g *rig) tryJoin(name string, change ...func(*realms.Principal, *Details)) (*Session, error) {
	authid, _, _ := strings.Cut(name, "/")
	p := realms.Principal{Role: realms.RoleService, AuthID: authid}
	d := Details{AuthMethod: "wampcra", AuthProvider: "test", Features: everything}
	for _, f := range change {
		f(&p, &d)
	}
	g.lastID++
	s := NewSession(g.lastID, p, d)
	g.names[s.ID()] = name
	return s, g.realm.Join(s, g.now)
}

func as(role realms.Role) func(*realms.Principal, *Details) {
	return func(p *realms.Principal, _ *Details) { p.Role = role }
}

func announcing(f ClientFeatures) func(*realms.Principal, *Details) {
	return func(_ *realms.Principal, d *Details) { d.Features = f }
}

// Send implements Output.
func (g *rig) Send(to *Session, m message.Message) error {
	if g.full[to] {
		return ErrNotTaken
	}
	g.sent[to] = append(g.sent[to], g.show(m))
	return nil
}

// Fanout implements Output.
func (g *rig) Fanout(to []*Session, e *message.Event) {
	g.fanouts++
	for _, s := range to {
		g.Send(s, e)
	}
}

// Close implements Output.
func (g *rig) Close(s *Session, goodbye *message.Goodbye) {
	g.closed[s] = true
	g.sent[s] = append(g.sent[s], fmt.Sprintf("GOODBYE %s %v", goodbye.Reason, goodbye.Details["message"]))
}

// do handles a message and fails the test where it violates the protocol.
func (g *rig) do(s *Session, m message.Message) {
	g.t.Helper()
	if err := g.realm.Handle(s, m, g.now); err != nil {
		g.t.Fatalf("%s sent %T: %v", g.names[s.ID()], m, err)
	}
}

// violates handles a message that must violate the protocol.
func (g *rig) violates(s *Session, m message.Message) {
	g.t.Helper()
	err := g.realm.Handle(s, m, g.now)
	if errs.URIOf(err) != message.ViolationURI {
		g.t.Errorf("%s sent %+v: error %v, want a violation of the protocol", g.names[s.ID()], m, err)
	}
}

// expect compares what a session was sent since it was last asked.
func (g *rig) expect(s *Session, want ...string) {
	g.t.Helper()
	if diff := cmp.Diff(want, g.take(s)); diff != "" {
		g.t.Errorf("%s was sent something else (-want +got):\n%s", g.names[s.ID()], diff)
	}
}

func (g *rig) take(s *Session) []string {
	got := g.sent[s]
	delete(g.sent, s)
	return got
}

func (g *rig) request() message.ID {
	g.requests++
	return g.requests
}

// subscribe subscribes and gives the subscription's id; the pattern is "prefix:a." or the like, exact without a colon.
func (g *rig) subscribe(s *Session, spec string) message.ID {
	g.t.Helper()
	match, uri := splitSpec(spec)
	g.do(s, &message.Subscribe{Request: 7, Options: message.SubscribeOptions{Match: match}, Topic: uri})
	sub := g.realm.subscriptions.get(pattern{matchOf(match), uri})
	if sub == nil || !s.subscribed(sub) {
		g.t.Fatalf("%s is not subscribed to %s: %q", g.names[s.ID()], spec, g.take(s))
	}
	g.expectLast(s, "SUBSCRIBED 7 "+spec)
	return sub.id
}

// register registers and gives the registration's id.
func (g *rig) register(s *Session, spec string, change ...func(*message.RegisterOptions)) message.ID {
	g.t.Helper()
	match, uri := splitSpec(spec)
	o := message.RegisterOptions{Match: match}
	for _, f := range change {
		f(&o)
	}
	g.do(s, &message.Register{Request: 7, Options: o, Procedure: uri})
	r := g.realm.registrations.get(pattern{matchOf(match), uri})
	if r == nil || s.registrations[r] == nil {
		g.t.Fatalf("%s has not registered %s: %q", g.names[s.ID()], spec, g.take(s))
	}
	g.expectLast(s, "REGISTERED 7 "+spec)
	return r.id
}

func invoke(policy string) func(*message.RegisterOptions) {
	return func(o *message.RegisterOptions) { o.Invoke = policy }
}

// expectLast takes the last message that a session was sent, and leaves those before it.
func (g *rig) expectLast(s *Session, want string) {
	g.t.Helper()
	got := g.sent[s]
	if len(got) == 0 || got[len(got)-1] != want {
		g.t.Fatalf("%s was sent %q, want %q last", g.names[s.ID()], got, want)
	}
	g.sent[s] = slices.Delete(got, len(got)-1, len(got))
	if len(g.sent[s]) == 0 {
		delete(g.sent, s)
	}
}

func (g *rig) publish(s *Session, topic string, change ...func(*message.PublishOptions)) {
	g.t.Helper()
	var o message.PublishOptions
	for _, f := range change {
		f(&o)
	}
	g.do(s, &message.Publish{Request: 9, Options: o, Topic: topic, Payload: text("hello")})
}

// call calls and gives the request's id.
func (g *rig) call(s *Session, procedure string, change ...func(*message.CallOptions)) message.ID {
	g.t.Helper()
	m := &message.Call{Request: g.request(), Procedure: procedure, Payload: text("hello")}
	for _, f := range change {
		f(&m.Options)
	}
	g.do(s, m)
	return m.Request
}

// meta calls one of the router's procedures and gives the answer: a result, or an error's URI.
func (g *rig) meta(s *Session, procedure string, args ...any) string {
	g.t.Helper()
	return g.metaKw(s, procedure, nil, args...)
}

func (g *rig) metaKw(s *Session, procedure string, kwargs message.Dict, args ...any) string {
	g.t.Helper()
	p, err := message.NewPayload(message.JSON, args, kwargs)
	if err != nil {
		g.t.Fatal(err)
	}
	id := g.request()
	g.do(s, &message.Call{Request: id, Procedure: procedure, Payload: p})
	got := g.take(s)
	if len(got) == 0 {
		g.t.Fatalf("%s was not answered", procedure)
	}
	answer := got[len(got)-1]
	if len(got) > 1 {
		g.sent[s] = got[:len(got)-1]
	}
	answer = strings.TrimPrefix(answer, fmt.Sprintf("RESULT %d", id))
	return strings.TrimSpace(strings.TrimPrefix(answer, fmt.Sprintf("ERROR CALL %d", id)))
}

func text(words ...any) message.Payload {
	p, err := message.NewPayload(message.JSON, words, nil)
	if err != nil {
		panic(err)
	}
	return p
}

func splitSpec(spec string) (match, uri string) {
	if match, uri, ok := strings.Cut(spec, ":"); ok {
		return match, uri
	}
	return "", spec
}
