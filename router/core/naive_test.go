package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// naive is a realm as a reader of the specification would write it down: lists, and loops over them. It says what each
// session is sent in the words of show.
type naive struct {
	now      time.Time
	quotas   Quotas
	disclose bool
	denied   map[string]bool // "authid action uri"
	sessions []*naiveSession // who are there
	subs     []*naiveSub
	regs     []*naiveReg
	calls    []*naiveCall
	retained []naiveRetained
	seq      int
	sent     map[string][]string
}

type naiveSession struct {
	name, authid string
	role         realms.Role
	features     ClientFeatures
	id           message.ID
	full         bool
	invoked      int
	ended        []message.ID
	testaments   map[string][]naiveTestament // by scope
}

type naiveTestament struct{ topic, word string }

type naiveSub struct {
	p       pattern
	seq     int
	created time.Time
	members []*naiveSession
}

type naiveRetained struct {
	topic, word string
	seq         int
	holder      string // role and authid
	publisher   string // as disclosed
	except      *naiveSession
	options     message.PublishOptions
}

func newNaive(q Quotas, now time.Time) *naive {
	return &naive{quotas: q, now: now, denied: map[string]bool{}, sent: map[string][]string{}}
}

func (n *naive) next() int {
	n.seq++
	return n.seq
}

func (n *naive) send(s *naiveSession, line string) bool {
	if s.full || !slices.Contains(n.sessions, s) {
		return false
	}
	n.sent[s.name] = append(n.sent[s.name], line)
	return true
}

func (n *naive) refuse(s *naiveSession, code string, id message.ID, uri string) {
	n.send(s, fmt.Sprintf("ERROR %s %d %s", code, id, uri))
}

func (s *naiveSession) who() string   { return fmt.Sprintf("%s,%s,%s", s.name, s.authid, s.role) }
func (s *naiveSession) party() string { return string(s.role) + " " + s.authid }

func (n *naive) allowed(s *naiveSession, a realms.Action, uri string) bool {
	return !n.denied[fmt.Sprint(s.authid, " ", a, " ", uri)]
}

// may gives the error of an attempt, or "".
func (n *naive) may(s *naiveSession, a realms.Action, p pattern) string {
	for i, c := range strings.Split(p.uri, ".") {
		lastOne := i == strings.Count(p.uri, ".")
		if c == "" && p.match != realms.Wildcard && !(p.match == realms.Prefix && lastOne) {
			return "wamp.error.invalid_uri"
		}
	}
	if (a == realms.Publish || a == realms.Register) && strings.HasPrefix(p.uri+".", "wamp.") {
		return "wamp.error.invalid_uri"
	}
	if !n.allowed(s, a, p.uri) {
		return "wamp.error.not_authorized"
	}
	return ""
}

// over reports whether somebody would have too much: limits of session, party and realm against what each has.
func over(session, party, realm, ofSession, ofParty, ofRealm int) bool {
	return session > 0 && ofSession >= session || party > 0 && ofParty >= party || realm > 0 && ofRealm >= realm
}

func (n *naive) join(s *naiveSession) {
	s.testaments = map[string][]naiveTestament{}
	n.sessions = append(n.sessions, s)
	n.tell("wamp.session.on_join", s, nil, fmt.Sprintf(
		"{authid=%s authmethod=wampcra authprovider=test authrole=%s session=%s}", s.authid, s.role, s.name,
	))
}

func (n *naive) sub(p pattern) *naiveSub {
	for _, sub := range n.subs {
		if sub.p == p {
			return sub
		}
	}
	return nil
}

func (n *naive) subscribe(s *naiveSession, id message.ID, p pattern, getRetained bool) {
	if uri := n.may(s, realms.Subscribe, p); uri != "" {
		n.refuse(s, "SUBSCRIBE", id, uri)
		return
	}
	sub := n.sub(p)
	isNew, isMember := sub == nil, sub != nil && slices.Contains(sub.members, s)
	if !isMember {
		count := func(whose func(*naiveSession) bool) (total int) {
			for _, other := range n.subs {
				for _, m := range other.members {
					if whose(m) {
						total++
					}
				}
			}
			return total
		}
		if over(
			n.quotas.Session.Subscriptions, n.quotas.AuthID.Subscriptions, n.quotas.Realm.Subscriptions,
			count(s.itself), count(s.ofParty), count(anybody),
		) {
			n.refuse(s, "SUBSCRIBE", id, overQuota)
			return
		}
		if isNew {
			sub = &naiveSub{p: p, seq: n.next(), created: n.now}
			n.subs = append(n.subs, sub)
		}
		sub.members = append(sub.members, s)
	}
	n.send(s, fmt.Sprintf("SUBSCRIBED %d %s", id, spec(p)))
	visible := &aim{realms.Subscribe, p.uri}
	if isNew {
		n.tell("wamp.subscription.on_create", s, visible, fmt.Sprintf(
			"%s {created=%s id=%s match=%s uri=%s}", s.name, timestamp(n.now), spec(p), matchName(p.match), p.uri,
		))
	}
	if !isMember {
		n.tell("wamp.subscription.on_subscribe", s, visible, s.name+" "+spec(p))
	}
	if getRetained {
		n.sendRetained(s, p)
	}
}

func (s *naiveSession) itself(other *naiveSession) bool  { return s == other }
func (s *naiveSession) ofParty(other *naiveSession) bool { return s.party() == other.party() }
func anybody(*naiveSession) bool                         { return true }

func (n *naive) unsubscribe(s *naiveSession, id message.ID, p pattern) {
	sub := n.sub(p)
	if sub == nil || !slices.Contains(sub.members, s) {
		n.refuse(s, "UNSUBSCRIBE", id, "wamp.error.no_such_subscription")
		return
	}
	deleted := n.exit(s, sub)
	n.send(s, fmt.Sprintf("UNSUBSCRIBED %d %s", id, spec(p)))
	n.tellUnsubscribed(s, sub, deleted)
}

func (n *naive) exit(s *naiveSession, sub *naiveSub) (deleted bool) {
	sub.members = without(sub.members, s)
	if len(sub.members) > 0 {
		return false
	}
	n.subs = without(n.subs, sub)
	return true
}

func (n *naive) tellUnsubscribed(s *naiveSession, sub *naiveSub, deleted bool) {
	visible, args := &aim{realms.Subscribe, sub.p.uri}, s.name+" "+spec(sub.p)
	n.tell("wamp.subscription.on_unsubscribe", s, visible, args)
	if deleted {
		n.tell("wamp.subscription.on_delete", s, visible, args)
	}
}

func without[T comparable](list []T, gone T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return x == gone })
}
