package core

import "bulkhead/router/message"

func registrationList(r *Realm, c *metaCall) ([]any, error) {
	var lists patternLists
	for g := range r.registrations.all() {
		if r.mayKnowRegistration(c.caller, g) {
			lists.add(g.pattern.match, g.id)
		}
	}
	return []any{lists.dict()}, nil
}

func registrationLookup(r *Realm, c *metaCall) ([]any, error) {
	p, err := c.lookedUp()
	if err != nil {
		return nil, err
	}
	return []any{r.idIfKnown(c, r.registrations.get(p))}, nil
}

func registrationMatch(r *Realm, c *metaCall) ([]any, error) {
	procedure, err := arg[string](c, 0, "procedure")
	if err != nil {
		return nil, err
	}
	return []any{r.idIfKnown(c, r.registrations.best(procedure))}, nil
}

func (r *Realm) idIfKnown(c *metaCall, g *registration) any {
	if g == nil || !r.mayKnowRegistration(c.caller, g) {
		return nil
	}
	return g.id
}

// knownRegistration reads the id in argument 0. A registration that the caller may not know is not there.
func (r *Realm) knownRegistration(c *metaCall) (*registration, error) {
	id, err := arg[message.ID](c, 0, "registration")
	if err != nil {
		return nil, err
	}
	g := r.registrationByID[id]
	if g == nil || !r.mayKnowRegistration(c.caller, g) {
		return nil, errNoSuchRegistration
	}
	return g, nil
}

func registrationGet(r *Realm, c *metaCall) ([]any, error) {
	g, err := r.knownRegistration(c)
	if err != nil {
		return nil, err
	}
	return []any{g.describe()}, nil
}

// knownCallees gives the callees that the caller may know, in the order in which they registered.
func (r *Realm) knownCallees(c *metaCall) ([]*Session, error) {
	g, err := r.knownRegistration(c)
	if err != nil {
		return nil, err
	}
	var known []*Session
	for _, callee := range g.callees {
		if r.mayKnow(c.caller, callee.session) {
			known = append(known, callee.session)
		}
	}
	return known, nil
}

func registrationCallees(r *Realm, c *metaCall) ([]any, error) {
	known, err := r.knownCallees(c)
	return []any{idsOf(known)}, err
}

func registrationCount(r *Realm, c *metaCall) ([]any, error) {
	known, err := r.knownCallees(c)
	return []any{len(known)}, err
}
