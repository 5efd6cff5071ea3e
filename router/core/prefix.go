package core

import (
	"bytes"
	"slices"
	"strings"
)

// prefixes holds values under prefixes and finds all that a URI begins with, at the cost of the URI's length. It is a radix
// tree over bytes, because a prefix may end within a component. The zero value is empty.
type prefixes[V any] struct {
	root prefixNode[V]
}

// prefixNode is a node other than the root only where it has a value or at least two children.
type prefixNode[V any] struct {
	label    string // what leads here from the parent
	value    *V
	firsts   []byte // the first byte of each child's label, in the order of children
	children []*prefixNode[V]
}

func (n *prefixNode[V]) child(first byte) int { return bytes.IndexByte(n.firsts, first) }

func (n *prefixNode[V]) adopt(c *prefixNode[V]) {
	n.firsts = append(n.firsts, c.label[0])
	n.children = append(n.children, c)
}

func (n *prefixNode[V]) drop(i int) {
	n.firsts = slices.Delete(n.firsts, i, i+1)
	n.children = slices.Delete(n.children, i, i+1)
	if len(n.children) == 0 {
		n.firsts, n.children = nil, nil
	}
}

// put sets the value of a prefix.
func (t *prefixes[V]) put(prefix string, v *V) {
	n, rest := &t.root, prefix
	for rest != "" {
		i := n.child(rest[0])
		if i < 0 {
			n.adopt(&prefixNode[V]{label: rest, value: v})
			return
		}
		c := n.children[i]
		common := commonLength(c.label, rest)
		if common < len(c.label) {
			c = n.split(i, common)
		}
		n, rest = c, rest[common:]
	}
	n.value = v
}

// split puts a node between n and its child i, after the first at bytes of the child's label.
func (n *prefixNode[V]) split(i, at int) *prefixNode[V] {
	lower := n.children[i]
	upper := &prefixNode[V]{label: lower.label[:at]}
	lower.label = lower.label[at:]
	upper.adopt(lower)
	n.children[i] = upper
	return upper
}

func commonLength(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// remove forgets a prefix that was put.
func (t *prefixes[V]) remove(prefix string) {
	var above, parent *prefixNode[V]
	n := &t.root
	for rest := prefix; rest != ""; rest = rest[len(n.label):] {
		i := n.child(rest[0])
		if i < 0 || !strings.HasPrefix(rest, n.children[i].label) {
			return
		}
		above, parent, n = parent, n, n.children[i]
	}
	n.value = nil
	if parent == nil {
		return
	}
	if len(n.children) == 0 {
		parent.drop(parent.child(n.label[0]))
		n = parent
		parent = above
	}
	if parent != nil {
		parent.shorten(n)
	}
}

// shorten replaces n's child c by its only child, where it has one and no value.
func (n *prefixNode[V]) shorten(c *prefixNode[V]) {
	if c.value != nil || len(c.children) != 1 {
		return
	}
	only := c.children[0]
	only.label = c.label + only.label
	n.children[n.child(c.label[0])] = only
}

// matching appends the values of all prefixes of uri, the shortest first.
func (t *prefixes[V]) matching(uri string, into []*V) []*V {
	n := &t.root
	for {
		if n.value != nil {
			into = append(into, n.value)
		}
		if n = n.next(&uri); n == nil {
			return into
		}
	}
}

// longest gives the value of the longest prefix of uri.
func (t *prefixes[V]) longest(uri string) (best *V) {
	for n := &t.root; n != nil; n = n.next(&uri) {
		if n.value != nil {
			best = n.value
		}
	}
	return best
}

func (n *prefixNode[V]) next(uri *string) *prefixNode[V] {
	if *uri == "" {
		return nil
	}
	i := n.child((*uri)[0])
	if i < 0 || !strings.HasPrefix(*uri, n.children[i].label) {
		return nil
	}
	c := n.children[i]
	*uri = (*uri)[len(c.label):]
	return c
}

func (t *prefixes[V]) empty() bool { return t.root.value == nil && len(t.root.children) == 0 }
