package core

import (
	"slices"
	"time"

	"bulkhead/router/message"
)

// registration is a procedure, or a pattern of procedures, with those who offer it.
type registration struct {
	id      message.ID
	pattern pattern
	policy  string // one of the invocation policies; never ""
	created time.Time
	callees []*callee // in the order in which they registered; never empty
	next    int       // whose turn it is, for "roundrobin"
}

// callee is one session's part in a registration.
type callee struct {
	session      *Session
	registration *registration
	concurrency  int // how many invocations it takes at once; 0: any number
	running      int
	disclose     bool // it asked to be told who calls
}

// The invocation policies.
const (
	single     = "single"
	roundRobin = "roundrobin"
	randomly   = "random"
	first      = "first"
	last       = "last"
)

func policyOf(option string) string {
	if option == "" {
		return single
	}
	return option
}

func (c *callee) free() bool { return c.concurrency <= 0 || c.running < c.concurrency }

// pick chooses who is invoked next, among those below their concurrency limit; nil where there are none.
func (g *registration) pick(random func() uint64) *callee {
	switch n := len(g.callees); g.policy {
	case roundRobin:
		at := g.firstFree(g.next, 1)
		if at >= 0 {
			g.next = (at + 1) % n
		}
		return g.at(at)
	case randomly:
		return g.at(g.firstFree(int(random()%uint64(n)), 1))
	case last:
		return g.at(g.firstFree(n-1, n-1))
	default:
		return g.at(g.firstFree(0, 1))
	}
}

// firstFree looks at all callees, beginning with one and going by steps around the list; -1 where none is free. A step of
// n-1 goes backwards.
func (g *registration) firstFree(begin, step int) int {
	n := len(g.callees)
	for i := range n {
		if at := (begin + i*step) % n; g.callees[at].free() {
			return at
		}
	}
	return -1
}

func (g *registration) at(i int) *callee {
	if i < 0 {
		return nil
	}
	return g.callees[i]
}

// drop takes a callee out; whose turn it is stays the same.
func (g *registration) drop(c *callee) {
	at := slices.Index(g.callees, c)
	g.callees = slices.Delete(g.callees, at, at+1)
	if at < g.next {
		g.next--
	}
	if g.next >= len(g.callees) {
		g.next = 0
	}
}
