package core

import (
	"cmp"
	"slices"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// patternLists sorts ids by kind of pattern, as both list procedures answer.
type patternLists [realms.Wildcard + 1][]message.ID

func (l *patternLists) add(m realms.Match, id message.ID) { l[m] = append(l[m], id) }

func (l *patternLists) dict() message.Dict {
	d := message.Dict{}
	for m, ids := range l {
		slices.Sort(ids)
		d[matchName(realms.Match(m))] = idList(ids)
	}
	return d
}

func idList(ids []message.ID) []any {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = id
	}
	return list
}

// lookedUp reads the arguments of the look-up procedures: a URI, and options that say how it matches.
func (c *metaCall) lookedUp() (pattern, error) {
	uri, err := arg[string](c, 0, "uri")
	if err != nil {
		return pattern{}, err
	}
	options, err := optionalArg[message.Dict](c, 1, "options")
	if err != nil {
		return pattern{}, err
	}
	match, _, err := kwarg[string](options, "match")
	return pattern{matchOf(match), uri}, err
}

func subscriptionList(r *Realm, c *metaCall) ([]any, error) {
	var lists patternLists
	for sub := range r.subscriptions.all() {
		if r.mayKnowSubscription(c.caller, sub) {
			lists.add(sub.pattern.match, sub.id)
		}
	}
	return []any{lists.dict()}, nil
}

func subscriptionLookup(r *Realm, c *metaCall) ([]any, error) {
	p, err := c.lookedUp()
	if err != nil {
		return nil, err
	}
	if sub := r.subscriptions.get(p); sub != nil && r.mayKnowSubscription(c.caller, sub) {
		return []any{sub.id}, nil
	}
	return []any{nil}, nil
}

func subscriptionMatch(r *Realm, c *metaCall) ([]any, error) {
	topic, err := arg[string](c, 0, "topic")
	if err != nil {
		return nil, err
	}
	var ids []message.ID
	for _, sub := range r.subscriptions.matching(topic, nil, nil) {
		if r.mayKnowSubscription(c.caller, sub) {
			ids = append(ids, sub.id)
		}
	}
	if ids == nil {
		return []any{nil}, nil
	}
	return []any{idList(ids)}, nil
}

// knownSubscription reads the id in argument 0. A subscription that the caller may not know is not there.
func (r *Realm) knownSubscription(c *metaCall) (*subscription, error) {
	id, err := arg[message.ID](c, 0, "subscription")
	if err != nil {
		return nil, err
	}
	sub := r.subscriptionByID[id]
	if sub == nil || !r.mayKnowSubscription(c.caller, sub) {
		return nil, errNoSuchSubscription
	}
	return sub, nil
}

func subscriptionGet(r *Realm, c *metaCall) ([]any, error) {
	sub, err := r.knownSubscription(c)
	if err != nil {
		return nil, err
	}
	return []any{sub.describe()}, nil
}

// knownSubscribers gives the subscribers that the caller may know, ordered by id.
func (r *Realm) knownSubscribers(c *metaCall) ([]*Session, error) {
	sub, err := r.knownSubscription(c)
	if err != nil {
		return nil, err
	}
	var known []*Session
	for _, s := range sub.sessions {
		if r.mayKnow(c.caller, s) {
			known = append(known, s)
		}
	}
	slices.SortFunc(known, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	return known, nil
}

func subscriptionSubscribers(r *Realm, c *metaCall) ([]any, error) {
	known, err := r.knownSubscribers(c)
	return []any{idsOf(known)}, err
}

func subscriptionCount(r *Realm, c *metaCall) ([]any, error) {
	known, err := r.knownSubscribers(c)
	return []any{len(known)}, err
}
