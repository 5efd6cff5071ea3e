package core

import (
	"slices"
	"strings"

	"bulkhead/router/message"
)

// audience is who may receive a publication, of those who are subscribed. The zero audience is everybody.
type audience struct {
	except *Session            // the publisher, where it does not want its own events
	lists  *lists              // what the publisher restricts it to; nil where it does not
	knows  func(*Session) bool // who may know what a meta event tells; nil: everybody
}

func audienceOf(publisher *Session, o *message.PublishOptions) audience {
	a := audience{lists: listsOf(o)}
	if !o.KeepMe {
		a.except = publisher
	}
	return a
}

func (a *audience) admits(s *Session) bool {
	return s != a.except && (a.lists == nil || a.lists.admit(s.identity)) && (a.knows == nil || a.knows(s))
}

// among gives the subscribers who are in the audience: a part of the subscription's own list, or one built in scratch.
func (a *audience) among(sub *subscription, scratch *[]*Session) []*Session {
	if a.lists == nil && a.knows == nil {
		return sub.without(a.except)
	}
	in := (*scratch)[:0]
	for _, s := range sub.sessions {
		if a.admits(s) {
			in = append(in, s)
		}
	}
	*scratch = in
	return in
}

// lists are the black and white lists of a publication (WAMP, "Subscriber Black- and Whitelisting").
type lists struct {
	exclude, eligible                 list[message.ID]
	excludeAuthID, eligibleAuthID     list[string]
	excludeAuthRole, eligibleAuthRole list[string]
}

func listsOf(o *message.PublishOptions) *lists {
	if o.Exclude == nil && o.ExcludeAuthID == nil && o.ExcludeAuthRole == nil &&
		o.Eligible == nil && o.EligibleAuthID == nil && o.EligibleAuthRole == nil && !o.EligibleOther {
		return nil
	}
	eligible := o.Eligible
	if o.EligibleOther {
		eligible = []message.ID{} // what is meant for few must not reach all
	}
	return &lists{
		newList(o.Exclude), newList(eligible),
		newList(o.ExcludeAuthID), newList(o.EligibleAuthID),
		newList(o.ExcludeAuthRole), newList(o.EligibleAuthRole),
	}
}

func (l *lists) admit(who message.Identity) bool {
	return l.eligible.permits(who.Session) && !l.exclude.has(who.Session) && l.admitPrincipal(who)
}

// admitPrincipal looks at the lists that still mean something when the session has gone.
func (l *lists) admitPrincipal(who message.Identity) bool {
	return l.eligibleAuthID.permits(who.AuthID) && !l.excludeAuthID.has(who.AuthID) &&
		l.eligibleAuthRole.permits(who.AuthRole) && !l.excludeAuthRole.has(who.AuthRole)
}

// namesSessions reports whether the lists depend on ids of sessions.
func (l *lists) namesSessions() bool { return l.exclude.given || l.eligible.given }

// size is about how many bytes are kept with the lists.
func (l *lists) size() int {
	if l == nil {
		return 0
	}
	n := 8 * (len(l.exclude.items) + len(l.eligible.items))
	for _, texts := range [][]string{
		l.excludeAuthID.items, l.eligibleAuthID.items, l.excludeAuthRole.items, l.eligibleAuthRole.items,
	} {
		for _, t := range texts {
			n += len(t) + 16
		}
	}
	return n
}

// kept gives lists that may be kept: their texts are no part of a frame.
func (l *lists) kept() *lists {
	if l == nil {
		return nil
	}
	own := *l
	for _, texts := range []*list[string]{
		&own.excludeAuthID, &own.eligibleAuthID, &own.excludeAuthRole, &own.eligibleAuthRole,
	} {
		*texts = cloned(*texts)
	}
	return &own
}

// list is a list of an option, which may be absent. The absent list has nobody and permits everybody.
type list[T comparable] struct {
	given bool
	items []T
	set   map[T]struct{} // the same, where there are many
}

// few is up to how many items looking through them is as fast as a set.
const few = 16

func newList[T comparable](items []T) list[T] {
	l := list[T]{given: items != nil, items: items}
	if len(items) > few {
		l.set = make(map[T]struct{}, len(items))
		for _, item := range items {
			l.set[item] = struct{}{}
		}
	}
	return l
}

func cloned(l list[string]) list[string] {
	if !l.given {
		return l
	}
	items := make([]string, len(l.items))
	for i, item := range l.items {
		items[i] = strings.Clone(item)
	}
	return newList(items)
}

func (l *list[T]) has(item T) bool {
	if l.set != nil {
		_, ok := l.set[item]
		return ok
	}
	return slices.Contains(l.items, item)
}

func (l *list[T]) permits(item T) bool { return !l.given || l.has(item) }
