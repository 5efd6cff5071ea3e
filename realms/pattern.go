package realms

import (
	"slices"
	"strings"

	"bulkhead/wire"
)

// Match is how a pattern matches URIs (WAMP, "Pattern-based Subscriptions").
type Match uint8

// The ways to match. An unknown one matches nothing that is allowed.
const (
	Exact    Match = iota // the URI itself
	Prefix                // every URI that begins with the pattern, as a string
	Wildcard              // every URI with as many components, equal where the pattern's is not empty
)

// Matches reports whether the pattern matches uri. It is the definition that routing and rules must agree with.
func (m Match) Matches(pattern, uri string) bool {
	switch m {
	case Exact:
		return pattern == uri
	case Prefix:
		return strings.HasPrefix(uri, pattern)
	case Wildcard:
		want, have := strings.Split(pattern, "."), strings.Split(uri, ".")
		return slices.EqualFunc(want, have, func(w, h string) bool { return w == "" || w == h })
	default:
		return false
	}
}

// clause is a set of URIs.
type clause interface {
	// contains reports whether every URI that the pattern matches is in the set. It may say no where the answer is yes
	// only because several clauses together cover the pattern.
	contains(pattern string, m Match) bool
}

// anyOne stands for any one component in a shape. It cannot be mistaken for a component: those have no dot.
const anyOne = "."

// shape is the set of URIs whose first components are parts and that have more after them where open is set.
type shape struct {
	parts []string
	open  bool
}

func exactly(parts ...string) clause { return shape{parts: parts} }

func under(parts ...string) clause { return shape{parts: parts, open: true} }

func (s shape) contains(pattern string, m Match) bool {
	components := strings.Split(pattern, ".")
	switch {
	case m > Wildcard, m == Prefix && !s.open:
		return false
	case s.open && len(components) <= len(s.parts):
		return false
	case !s.open && len(components) != len(s.parts):
		return false
	}
	for i, part := range s.parts {
		if part != anyOne && part != components[i] {
			return false // an empty component of a wildcard lands here too: it matches more than part
		}
	}
	return true
}

// free is the set of names that belong to nobody in particular: they begin with neither a digit nor a reserved word.
type free struct{}

func (free) contains(pattern string, m Match) bool {
	if pattern == "" || pattern[0] >= '0' && pattern[0] <= '9' {
		return false
	}
	return outside(wire.Reserved, pattern, m)
}

// allBut is the set of URIs whose first component is none of words.
type allBut struct{ words []string }

func except(words ...string) clause { return allBut{words} }

func everything() clause { return allBut{} }

func (a allBut) contains(pattern string, m Match) bool {
	return m <= Wildcard && (len(a.words) == 0 || outside(a.words, pattern, m))
}

// outside reports whether no URI that the pattern matches has one of words as its first component.
func outside(words []string, pattern string, m Match) bool {
	first, _, more := strings.Cut(pattern, ".")
	switch {
	case m > Wildcard:
		return false
	case m == Wildcard && first == "":
		return false
	case m == Prefix && !more:
		return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, first) })
	default:
		return !slices.Contains(words, first)
	}
}
