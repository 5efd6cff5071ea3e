package mux

import "sync"

// front is what a chunk has before its data: room for the heads of the frame and the message that may carry it as it is, and
// for a few frames that go before.
const front = 64

// chunk is a piece of a queue, or a message. The bytes from first to last are in use. They are told first, because they lie
// beside the data then, and are fetched with it.
type chunk struct {
	first, last int
	bytes       [front + message]byte
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func newChunk() *chunk {
	c := chunks.Get().(*chunk) //nolint:forcetypeassert // nothing else is put there
	c.empty()
	return c
}

func (c *chunk) empty()       { c.first, c.last = front, front }
func (c *chunk) size() int    { return c.last - c.first }
func (c *chunk) data() []byte { return c.bytes[c.first:c.last] }

// space is where an empty chunk takes n bytes of data. How many came is told to filled.
func (c *chunk) space(n int) []byte { return c.bytes[front : front+n] }
func (c *chunk) filled(n int)       { c.first, c.last = front, front+n }

// room is how much data still fits: as much as one frame carries in all.
func (c *chunk) room() int { return max(0, front+maxData-c.last) }

// write copies what fits of b to the end and says how much that is.
func (c *chunk) write(b []byte) int {
	n := copy(c.bytes[c.last:c.last+min(len(b), c.room())], b)
	c.last += n
	return n
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
		if len(q.chunks) == 0 || q.chunks[len(q.chunks)-1].room() == 0 {
			q.chunks = append(q.chunks, newChunk())
		}
		b = b[q.chunks[len(q.chunks)-1].write(b):]
	}
}

// give puts a chunk at the end, or copies it where that saves room, and returns one that is free.
func (q *queue) give(c *chunk) *chunk {
	if q.add(c) {
		return newChunk()
	}
	c.empty()
	return c
}

// add puts a chunk at the end, or copies it where that saves room. It reports whether the chunk is the queue's now.
func (q *queue) add(c *chunk) bool {
	if len(q.chunks) > 0 && q.chunks[len(q.chunks)-1].room() >= c.size() {
		q.write(c.data())
		return false
	}
	q.chunks = append(q.chunks, c)
	q.size += c.size()
	return true
}

// pop moves chunks from the front to into, as many as there is room for.
func (q *queue) pop(into []*chunk) []*chunk {
	for len(q.chunks) > 0 && len(into) < cap(into) {
		into = append(into, q.shift())
	}
	return into
}

// shift moves the first chunk out.
func (q *queue) shift() *chunk {
	c := q.chunks[0]
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	q.size -= c.size()
	if len(q.chunks) == 0 {
		q.chunks = nil
	}
	return c
}

// read moves bytes from the front to b.
func (q *queue) read(b []byte) (n int) {
	for n < len(b) && len(q.chunks) > 0 {
		c := q.chunks[0]
		m := copy(b[n:], c.data())
		c.first += m
		n += m
		q.size -= m
		if c.size() == 0 {
			chunks.Put(q.shift())
		}
	}
	return n
}

// whole moves the first chunk out where it can be sent as it is: with before bytes before it, it has most bytes at most, and
// enough of them that it is not worth while to look for more.
func (q *queue) whole(before, most int) *chunk {
	if len(q.chunks) == 0 {
		return nil
	}
	if c := q.chunks[0]; before > c.first || c.size() < message/2 || c.size() > most {
		return nil
	}
	return q.shift()
}

func (q *queue) drop() {
	for len(q.chunks) > 0 {
		chunks.Put(q.shift())
	}
}
