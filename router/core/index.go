package core

import (
	"iter"
	"maps"

	"bulkhead/realms"
)

// index holds subscriptions or registrations under their patterns. It agrees with realms.Match.Matches. The zero value is
// not usable: see newIndex.
type index[V any] struct {
	at       map[pattern]*V
	room     room // of at
	prefix   prefixes[V]
	wildcard wildcards[V]
	patterns uint64 // how many were ever put into prefix and wildcard, and one
}

// unmatched remembers that no prefix and no wildcard of an index matches a URI, which is so until another is put. The zero value
// remembers nothing.
type unmatched struct{ patterns uint64 }

// pattern is a URI or a pattern of URIs.
type pattern struct {
	match realms.Match
	uri   string
}

func newIndex[V any]() index[V] { return index[V]{at: map[pattern]*V{}, patterns: 1} }

func (x *index[V]) get(p pattern) *V { return x.at[p] }

func (x *index[V]) put(p pattern, v *V) {
	x.at[p] = v
	switch p.match {
	case realms.Prefix:
		x.prefix.put(p.uri, v)
		x.patterns++
	case realms.Wildcard:
		x.wildcard.put(p.uri, v)
		x.patterns++
	}
}

func (x *index[V]) remove(p pattern) {
	x.at = forget(x.at, &x.room, p)
	switch p.match {
	case realms.Prefix:
		x.prefix.remove(p.uri)
	case realms.Wildcard:
		x.wildcard.remove(p.uri)
	}
}

// matching appends all that match uri: the exact one, prefixes from the shortest, wildcards by precedence. What is known of this URI
// in this index spares the search for patterns, and is learned; nil where nothing is to be remembered.
func (x *index[V]) matching(uri string, known *unmatched, into []*V) []*V {
	if v := x.at[pattern{realms.Exact, uri}]; v != nil {
		into = append(into, v)
	}
	if known != nil && known.patterns == x.patterns {
		return into
	}
	found := x.wildcard.matching(uri, x.prefix.matching(uri, into))
	if known != nil && len(found) == len(into) {
		known.patterns = x.patterns
	}
	return found
}

// best gives the one that takes precedence: the exact one before the longest prefix before the best wildcard.
func (x *index[V]) best(uri string) *V {
	if v := x.at[pattern{realms.Exact, uri}]; v != nil {
		return v
	}
	if v := x.prefix.longest(uri); v != nil {
		return v
	}
	return x.wildcard.best(uri)
}

func (x *index[V]) all() iter.Seq[*V] { return maps.Values(x.at) }

func (x *index[V]) empty() bool {
	return len(x.at) == 0 && x.prefix.empty() && x.wildcard.root.empty()
}

// matchOf reads the option "match", which the decoder has checked.
func matchOf(option string) realms.Match {
	switch option {
	case "prefix":
		return realms.Prefix
	case "wildcard":
		return realms.Wildcard
	default:
		return realms.Exact
	}
}

func matchName(m realms.Match) string {
	switch m {
	case realms.Prefix:
		return "prefix"
	case realms.Wildcard:
		return "wildcard"
	default:
		return "exact"
	}
}
