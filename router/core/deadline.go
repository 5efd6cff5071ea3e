package core

import (
	"container/heap"
	"time"
)

// deadline is when a call's time is up, and where that stands among the others'.
type deadline struct {
	at    time.Time
	index int // in the heap, from 1; 0: nowhere
}

// deadlines are the calls with a timeout, the nearest first.
type deadlines struct{ heap callHeap }

// set gives a call a deadline, in place of the one it may have.
func (d *deadlines) set(c *call, at time.Time) {
	c.deadline.at = at
	if c.deadline.index > 0 {
		heap.Fix(&d.heap, c.deadline.index-1)
		return
	}
	heap.Push(&d.heap, c)
}

func (d *deadlines) clear(c *call) {
	if c.deadline.index > 0 {
		heap.Remove(&d.heap, c.deadline.index-1)
	}
}

func (d *deadlines) next() (time.Time, bool) {
	if len(d.heap) == 0 {
		return time.Time{}, false
	}
	return d.heap[0].deadline.at, true
}

// due gives a call whose time is up; it stays until cleared.
func (d *deadlines) due(now time.Time) *call {
	if at, ok := d.next(); !ok || at.After(now) {
		return nil
	}
	return d.heap[0]
}

type callHeap []*call

func (h callHeap) Len() int           { return len(h) }
func (h callHeap) Less(i, j int) bool { return h[i].deadline.at.Before(h[j].deadline.at) }

func (h callHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].deadline.index, h[j].deadline.index = i+1, j+1
}

func (h *callHeap) Push(x any) {
	c := x.(*call)
	*h = append(*h, c)
	c.deadline.index = len(*h)
}

func (h *callHeap) Pop() any {
	n := len(*h) - 1
	c := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	c.deadline.index = 0
	return c
}

var _ heap.Interface = (*callHeap)(nil)
