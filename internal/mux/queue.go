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
	if len(q.chunks) > 0 {
		if tail := q.chunks[len(q.chunks)-1]; len(tail.bytes)-tail.last >= c.last-c.first {
			q.write(c.bytes[c.first:c.last])
			c.first, c.last = 0, 0
			return c
		}
	}
	q.chunks = append(q.chunks, c)
	q.size += c.last - c.first
	return newChunk()
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
