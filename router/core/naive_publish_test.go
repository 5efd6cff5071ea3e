package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func (n *naive) publish(s *naiveSession, id message.ID, topic, word string, o message.PublishOptions) {
	if uri := n.submit(s, topic, word, o); uri != "" {
		if o.Acknowledge {
			n.refuse(s, "PUBLISH", id, uri)
		}
		return
	}
	if o.Acknowledge {
		n.send(s, fmt.Sprintf("PUBLISHED %d", id))
	}
}

func (n *naive) submit(s *naiveSession, topic, word string, o message.PublishOptions) (uri string) {
	if uri := n.may(s, realms.Publish, pattern{realms.Exact, topic}); uri != "" {
		return uri
	}
	publisher := ""
	if n.disclose || o.DiscloseMe {
		publisher = s.who()
	}
	if o.Retain && !n.retain(s, topic, word, publisher, o) {
		return overQuota
	}
	for _, sub := range n.matching(topic) {
		for _, m := range sub.members {
			if (m != s || o.KeepMe) && eligible(m, o) {
				n.send(m, eventLine(sub.p, topic, word, publisher, false))
			}
		}
	}
	return ""
}

// matching gives the subscriptions that match: exact, then prefixes from the shortest, then wildcards, those first that
// name a component where the other has none.
func (n *naive) matching(topic string) (found []*naiveSub) {
	for _, sub := range n.subs {
		if sub.p.match.Matches(sub.p.uri, topic) {
			found = append(found, sub)
		}
	}
	slices.SortStableFunc(found, func(a, b *naiveSub) int { return precedence(a.p, b.p) })
	return found
}

// precedence orders patterns that match the same URI.
func precedence(a, b pattern) int {
	if a.match != b.match {
		return cmp.Compare(a.match, b.match)
	}
	if a.match == realms.Prefix {
		return cmp.Compare(len(a.uri), len(b.uri))
	}
	return cmp.Compare(holes(a.uri), holes(b.uri))
}

// holes writes 0 for each component that is named and 1 for each that is not.
func holes(wildcard string) (s string) {
	for c := range strings.SplitSeq(wildcard, ".") {
		if c == "" {
			s += "1"
		} else {
			s += "0"
		}
	}
	return s
}

func eventLine(p pattern, topic, word, publisher string, isRetained bool) string {
	w := words{"EVENT", spec(p), word}
	if p.match != realms.Exact {
		w.named("topic", topic)
	}
	w.named("publisher", publisher)
	w.flag("retained", isRetained)
	return w.String()
}

func eligible(s *naiveSession, o message.PublishOptions) bool {
	in := func(list []string, x string) bool { return slices.Contains(list, x) }
	return (o.Eligible == nil || slices.Contains(o.Eligible, s.id)) &&
		(o.EligibleAuthID == nil || in(o.EligibleAuthID, s.authid)) &&
		(o.EligibleAuthRole == nil || in(o.EligibleAuthRole, string(s.role))) &&
		!slices.Contains(o.Exclude, s.id) && !in(o.ExcludeAuthID, s.authid) && !in(o.ExcludeAuthRole, string(s.role))
}

func restricted(o message.PublishOptions) bool {
	return o.Eligible != nil || o.EligibleAuthID != nil || o.EligibleAuthRole != nil ||
		o.Exclude != nil || o.ExcludeAuthID != nil || o.ExcludeAuthRole != nil
}

// retain replaces what the topic has for the same audience; an event for everybody replaces all.
func (n *naive) retain(s *naiveSession, topic, word, publisher string, o message.PublishOptions) bool {
	stay := slices.DeleteFunc(slices.Clone(n.retained), func(old naiveRetained) bool {
		return old.topic == topic && (!restricted(o) || restricted(old.options))
	})
	own := 0
	for _, e := range stay {
		if e.holder == s.party() {
			own++
		}
	}
	if over(0, n.quotas.AuthID.Retained, n.quotas.Realm.Retained, 0, own, len(stay)) {
		return false
	}
	e := naiveRetained{topic: topic, word: word, seq: n.next(), holder: s.party(), publisher: publisher, options: o}
	if !o.KeepMe {
		e.except = s
	}
	n.retained = append(stay, e)
	return true
}

// sendRetained sends of each topic the newest event that the session would have received, the oldest topic first.
func (n *naive) sendRetained(s *naiveSession, p pattern) {
	newest := map[string]naiveRetained{}
	for _, e := range n.retained {
		if p.match.Matches(p.uri, e.topic) && e.except != s && eligible(s, e.options) && e.seq > newest[e.topic].seq {
			newest[e.topic] = e
		}
	}
	var due []naiveRetained
	for _, e := range newest {
		due = append(due, e)
	}
	slices.SortFunc(due, func(a, b naiveRetained) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range due {
		n.send(s, eventLine(p, e.topic, e.word, e.publisher, true))
	}
}

// aim is what a session must be allowed in order to be told of something.
type aim struct {
	action realms.Action
	uri    string
}

// tell publishes a meta event.
func (n *naive) tell(topic string, cause *naiveSession, visible *aim, args string) {
	for _, sub := range n.matching(topic) {
		for _, m := range sub.members {
			if m != cause && (visible == nil || n.allowed(m, visible.action, visible.uri)) {
				n.send(m, eventLine(sub.p, topic, args, "", false))
			}
		}
	}
}

func (n *naive) addTestament(s *naiveSession, id message.ID, scope, topic, word string) {
	if uri := n.may(s, realms.Publish, pattern{realms.Exact, topic}); uri != "" {
		n.refuse(s, "CALL", id, uri)
		return
	}
	count := func(whose func(*naiveSession) bool) (total int) {
		for _, other := range n.sessions {
			if whose(other) {
				total += len(other.testaments["detached"]) + len(other.testaments["destroyed"])
			}
		}
		return total
	}
	if over(
		n.quotas.Session.Testaments, n.quotas.AuthID.Testaments, n.quotas.Realm.Testaments,
		count(s.itself), count(s.ofParty), count(anybody),
	) {
		n.refuse(s, "CALL", id, overQuota)
		return
	}
	s.testaments[scope] = append(s.testaments[scope], naiveTestament{topic, word})
	n.send(s, fmt.Sprintf("RESULT %d", id))
}

func (n *naive) flushTestaments(s *naiveSession, id message.ID, scope string) {
	s.testaments[scope] = nil
	n.send(s, fmt.Sprintf("RESULT %d", id))
}

func (n *naive) leave(s *naiveSession) {
	n.sessions = without(n.sessions, s)
	var after []func()
	for _, sub := range slices.Clone(n.subs) {
		if slices.Contains(sub.members, s) {
			deleted := n.exit(s, sub)
			after = append(after, func() { n.tellUnsubscribed(s, sub, deleted) })
		}
	}
	for _, r := range slices.Clone(n.regs) {
		if c := r.of(s); c != nil {
			deleted := n.withdraw(r, c)
			after = append(after, func() { n.tellUnregistered(s, r, deleted) })
		}
	}
	n.endCalls(s)
	for _, f := range after {
		f()
	}
	for _, scope := range []string{"detached", "destroyed"} {
		for _, t := range s.testaments[scope] {
			n.submit(s, t.topic, t.word, message.PublishOptions{})
		}
	}
	n.tell("wamp.session.on_leave", s, nil, fmt.Sprintf("%s %s %s", s.name, s.authid, s.role))
}
