package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// TestTheRealmAgreesWithTheNaiveOne lets both live through the same random histories; every session must be sent the same
// by both, message for message.
func TestTheRealmAgreesWithTheNaiveOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := newLives(t, rt)
		rt.Repeat(map[string]func(*rapid.T){
			"join": h.join, "leave": h.leave, "full": h.full, "tick": h.tick, "recheck": h.recheck, "kill": h.kill,
			"subscribe": h.subscribe, "subscribe again": h.subscribe, "unsubscribe": h.unsubscribe,
			"publish": h.publish, "publish again": h.publish, "testament": h.testament,
			"register": h.register, "register again": h.register, "unregister": h.unregister,
			"call": h.call, "call again": h.call, "more": h.more, "cancel": h.cancel,
			"yield": h.answer, "answer": h.answer, "answer again": h.answer,
			"": h.compare,
		})
		for len(h.members) > 0 {
			h.leaveBoth(h.members[0])
		}
		h.compare(rt)
		for topic := range h.g.realm.retained {
			delete(h.g.realm.retained, topic) // outlives its publishers by design
		}
		h.g.realm.ledger = newLedger(Quotas{})
		assertEmpty(rt, h.g.realm)
	})
}

// member is a session in both realms.
type member struct {
	real  *Session
	naive *naiveSession
	nth   message.ID // requests made
}

type lives struct {
	rt      *rapid.T
	g       *rig
	n       *naive
	members []*member
	joined  int
	all     []*member
	steps   int
}

var historyQuotas = Quotas{
	Session: Limits{Subscriptions: 5, Registrations: 4, Calls: 4, Testaments: 2},
	AuthID:  Limits{Subscriptions: 7, Registrations: 6, Calls: 5, Testaments: 3, Retained: 2},
	Realm:   Limits{Subscriptions: 12, Registrations: 9, Calls: 8, Testaments: 4, Retained: 4},
}

func newLives(t *testing.T, rt *rapid.T) *lives {
	h := &lives{rt: rt}
	quotas := rapid.SampledFrom([]Quotas{{}, historyQuotas}).Draw(rt, "quotas")
	h.n = newNaive(quotas, epoch)
	h.n.disclose = rapid.Bool().Draw(rt, "disclose")
	h.g = newRig(t, func(c *Config) {
		c.Quotas, c.Disclose = quotas, h.n.disclose
		c.Authorize = func(s *Session, a realms.Action, uri string, _ realms.Match) bool {
			return !h.n.denied[fmt.Sprint(s.principal.AuthID, " ", a, " ", uri)]
		}
	})
	return h
}

// handle gives a message to the realm and what it means to the naive one.
func (h *lives) handle(m *member, msg message.Message, naive func() (violation bool)) {
	err := h.g.realm.Handle(m.real, msg, h.g.now)
	if violation := naive(); violation != (err != nil) {
		h.rt.Fatalf("%s sent %+v: error %v, but the naive realm says %v", m.naive.name, msg, err, violation)
	}
	if err != nil {
		h.leaveBoth(m)
	}
}

func (h *lives) leaveBoth(m *member) {
	h.members = without(h.members, m)
	h.g.realm.Leave(m.real, h.g.now)
	h.n.leave(m.naive)
	assertEmptied(h.rt, m.real)
}

// compare is called after each step.
func (h *lives) compare(rt *rapid.T) {
	for id := range h.g.realm.subscriptionByID {
		h.g.subscription(id) // learn the names, in case nobody was told
	}
	for id := range h.g.realm.registrationByID {
		h.g.registration(id)
	}
	for _, m := range h.all {
		got, want := h.g.take(m.real), h.n.sent[m.naive.name]
		delete(h.n.sent, m.naive.name)
		slices.SortStableFunc(got, ticks)
		slices.SortStableFunc(want, ticks)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s was sent something else (-naive +realm):\n%s", m.naive.name, diff)
		}
	}
	used, calls := h.g.realm.Counts(), len(h.n.calls)
	if used.Calls != calls || used.Sessions != len(h.members) {
		rt.Fatalf("counts %+v, but %d calls and %d sessions", used, calls, len(h.members))
	}
}

// ticks orders what one tick brings about, whose order is nobody's promise.
func ticks(a, b string) int {
	isTick := func(s string) bool { return strings.Contains(s, "wamp.error.timeout") }
	if isTick(a) && isTick(b) {
		return strings.Compare(a, b)
	}
	return 0
}

func (h *lives) member(rt *rapid.T) *member {
	if len(h.members) == 0 {
		h.join(rt)
	}
	return rapid.SampledFrom(h.members).Draw(rt, "who")
}

func (m *member) request() message.ID {
	m.nth++
	return m.nth
}

func (h *lives) join(rt *rapid.T) {
	if len(h.members) >= 5 {
		return
	}
	authid := rapid.SampledFrom([]string{"ann", "bob", "cat"}).Draw(rt, "authid")
	role := realms.RoleService
	if authid == "cat" {
		role = realms.RoleConsole
	}
	f := rapid.SampledFrom([]ClientFeatures{everything, {}, {CallCanceling: true}, {ProgressiveInvocationsCaller: true}}).Draw(rt, "features")
	h.joined++
	name := fmt.Sprintf("%s/%d", authid, h.joined)
	m := &member{naive: &naiveSession{name: name, authid: authid, role: role, features: f, id: h.g.lastID + 1}}
	h.members, h.all = append(h.members, m), append(h.all, m)
	m.real = h.g.join(name, as(role), announcing(f))
	h.n.join(m.naive)
}

func (h *lives) leave(rt *rapid.T) {
	if len(h.members) > 1 { // a realm is more often busy than empty
		h.leaveBoth(h.member(rt))
	}
}

func (h *lives) kill(rt *rapid.T) {
	if len(h.members) < 4 {
		return
	}
	m := h.member(rt)
	h.members = without(h.members, m)
	h.g.realm.Kill(m.real.ID(), "wamp.close.killed", "", h.g.now)
	h.n.leave(m.naive)
	h.n.sent[m.naive.name] = append(h.n.sent[m.naive.name], "GOODBYE wamp.close.killed <nil>")
}

func (h *lives) full(rt *rapid.T) {
	m := h.member(rt)
	m.naive.full = rapid.Bool().Draw(rt, "full")
	h.g.full[m.real] = m.naive.full
}

func (h *lives) tick(rt *rapid.T) {
	h.g.now = h.g.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond)
	h.g.realm.Tick(h.g.now)
	h.n.tick(h.g.now)
}

func (h *lives) recheck(rt *rapid.T) {
	authid := rapid.SampledFrom([]string{"ann", "bob", "cat"}).Draw(rt, "authid")
	a := rapid.SampledFrom([]realms.Action{realms.Publish, realms.Subscribe, realms.Call, realms.Register}).Draw(rt, "action")
	uri := rapid.OneOf(uris, patternURIs).Draw(rt, "uri")
	h.n.denied[fmt.Sprint(authid, " ", a, " ", uri)] = rapid.Bool().Draw(rt, "denied")
	for _, m := range h.members {
		if m.naive.authid == authid {
			h.g.realm.Recheck(m.real, h.g.now)
			h.n.recheck(m.naive)
		}
	}
}
