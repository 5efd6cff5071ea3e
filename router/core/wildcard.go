package core

import "strings"

// wildcards holds values under patterns in which an empty component stands for any one component, and finds those that
// match a URI. It is a tree over components: a look-up visits at most two branches per component, and never a pattern
// whose leading components differ. The zero value is empty.
type wildcards[V any] struct {
	root wildcardNode[V]
}

type wildcardNode[V any] struct {
	value    *V
	any      *wildcardNode[V]
	children map[string]*wildcardNode[V]
	room     room // of children
}

func (n *wildcardNode[V]) empty() bool { return n.value == nil && n.any == nil && len(n.children) == 0 }

// put sets the value of a pattern.
func (t *wildcards[V]) put(pattern string, v *V) {
	n := &t.root
	for more := true; more; {
		var component string
		component, pattern, more = strings.Cut(pattern, ".")
		n = n.grow(component)
	}
	n.value = v
}

func (n *wildcardNode[V]) grow(component string) *wildcardNode[V] {
	if component == "" {
		if n.any == nil {
			n.any = &wildcardNode[V]{}
		}
		return n.any
	}
	c := n.children[component]
	if c == nil {
		if n.children == nil {
			n.children = map[string]*wildcardNode[V]{}
		}
		c = &wildcardNode[V]{}
		n.children[component] = c
	}
	return c
}

// remove forgets a pattern that was put.
func (t *wildcards[V]) remove(pattern string) { t.root.remove(pattern, true) }

func (n *wildcardNode[V]) remove(pattern string, more bool) {
	if !more {
		n.value = nil
		return
	}
	component, rest, more := strings.Cut(pattern, ".")
	c := n.children[component]
	if component == "" {
		c = n.any
	}
	if c == nil {
		return
	}
	c.remove(rest, more)
	if !c.empty() {
		return
	}
	if component == "" {
		n.any = nil
	} else if n.children = forget(n.children, &n.room, component); len(n.children) == 0 {
		n.children = nil
	}
}

// matching appends the values of all patterns that match uri. Where two differ first in a component that one of them
// names and the other leaves open, the one that names it comes first; that is the order of precedence among
// registrations, too (WAMP, "Calls matching multiple registrations").
func (t *wildcards[V]) matching(uri string, into []*V) []*V {
	if t.root.empty() {
		return into
	}
	return t.root.matching(uri, true, into)
}

func (n *wildcardNode[V]) matching(uri string, more bool, into []*V) []*V {
	if !more {
		if n.value != nil {
			into = append(into, n.value)
		}
		return into
	}
	component, rest, more := strings.Cut(uri, ".")
	if c := n.children[component]; c != nil {
		into = c.matching(rest, more, into)
	}
	if n.any != nil {
		into = n.any.matching(rest, more, into)
	}
	return into
}

// best gives the value of the pattern that takes precedence among those that match uri.
func (t *wildcards[V]) best(uri string) *V {
	if t.root.empty() {
		return nil
	}
	return t.root.best(uri, true)
}

func (n *wildcardNode[V]) best(uri string, more bool) *V {
	if !more {
		return n.value
	}
	component, rest, more := strings.Cut(uri, ".")
	if c := n.children[component]; c != nil {
		if v := c.best(rest, more); v != nil {
			return v
		}
	}
	if n.any == nil {
		return nil
	}
	return n.any.best(rest, more)
}
