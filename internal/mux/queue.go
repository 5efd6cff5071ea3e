package mux

import "sync"

// chunk is a piece of a queue. The bytes from first to last are in use.
type chunk struct {
	bytes       [16 << 10]byte
	first, last int
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func newChunk() *chunk {
	c := chunks.Get().(*chunk) //nolint:forcetypeassert // nothing else is put there
	c.first, c.last = 0, 0
	return c
}

// queue is bytes that wait, in the order in which they came.
type queue struct {
	chunks []*chunk
	size   int
}

// write copies b to the end.
func (q *queue) write(b []byte) {
	q.size += len(b)
	for len(b) > 0 {
		if len(q.chunks) == 0 || q.chunks[len(q.chunks)-1].last == len(chunk{}.bytes) {
			q.chunks = append(q.chunks, newChunk())
		}
		tail := q.chunks[len(q.chunks)-1]
		n := copy(tail.bytes[tail.last:], b)
		tail.last += n
		b = b[n:]
	}
}

// give puts a chunk at the end, or copies it where that saves room, and returns one that is free.
func (q *queue) give(c *chunk) *chunk {
	if q.add(c) {
		return newChunk()
	}
	c.first, c.last = 0, 0
	return c
}

// add puts a chunk at the end, or copies it where that saves room. It reports whether the chunk is the queue's now.
func (q *queue) add(c *chunk) bool {
	if len(q.chunks) > 0 {
		if tail := q.chunks[len(q.chunks)-1]; len(tail.bytes)-tail.last >= c.last-c.first {
			q.write(c.bytes[c.first:c.last])
			return false
		}
	}
	q.chunks = append(q.chunks, c)
	q.size += c.last - c.first
	return true
}

// pop moves chunks from the front to into, as many as there is room for.
func (q *queue) pop(into []*chunk) []*chunk {
	for len(q.chunks) > 0 && len(into) < cap(into) {
		c := q.chunks[0]
		q.chunks[0] = nil
		q.chunks = q.chunks[1:]
		q.size -= c.last - c.first
		into = append(into, c)
	}
	if len(q.chunks) == 0 {
		q.chunks = nil
	}
	return into
}

// read moves bytes from the front to b.
func (q *queue) read(b []byte) (n int) {
	for n < len(b) && len(q.chunks) > 0 {
		front := q.chunks[0]
		m := copy(b[n:], front.bytes[front.first:front.last])
		front.first += m
		n += m
		if front.first == front.last {
			q.shift()
		}
	}
	q.size -= n
	return n
}

func (q *queue) shift() {
	chunks.Put(q.chunks[0])
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	if len(q.chunks) == 0 {
		q.chunks = nil
	}
}

func (q *queue) drop() {
	for len(q.chunks) > 0 {
		q.shift()
	}
	q.size = 0
}
