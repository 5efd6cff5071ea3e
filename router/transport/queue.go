package transport

import "sync"

// queue holds the frames that wait for one peer, the oldest first. An empty queue holds no memory. Its owner locks.
type queue struct {
	frames []*frame // a frame that was dropped is nil
	head   int
	bytes  int
	// oldest is where to look for the oldest event: there is none between head and it.
	oldest int
	// dropped counts the events that were dropped since the last one that left.
	dropped uint64
}

func (q *queue) push(f *frame) {
	if q.frames == nil {
		q.frames = *lists.get()
	}
	q.frames = append(q.frames, f)
	q.bytes += len(f.data)
}

// pop takes frames until they make up size bytes; always one, if there is one. It leaves their bytes counted: they still
// wait, in the writer.
func (q *queue) pop(into []*frame, size int) []*frame {
	for n := 0; q.head < len(q.frames); q.head++ {
		f := q.frames[q.head]
		if f == nil {
			continue
		}
		if n += len(f.data); n > size && len(into) > 0 {
			break
		}
		into = append(into, f)
		q.frames[q.head] = nil
	}
	if q.head == len(q.frames) {
		q.release()
	}
	return into
}

func (q *queue) release() {
	if q.frames == nil {
		return
	}
	list := q.frames[:0]
	q.frames, q.head, q.oldest = nil, 0, 0
	lists.put(&list)
}

// discard forgets all that waits.
func (q *queue) discard() {
	clear(q.frames)
	q.release()
	q.bytes = 0
}

// dropOldest drops events, the oldest first, until at most limit bytes wait, and reports whether that was enough.
func (q *queue) dropOldest(limit int) (events int, enough bool) {
	for q.oldest = max(q.oldest, q.head); q.bytes > limit && q.oldest < len(q.frames); q.oldest++ {
		f := q.frames[q.oldest]
		if f == nil || f.event == nil {
			continue
		}
		q.frames[q.oldest] = nil
		q.bytes -= len(f.data)
		events++
	}
	q.dropped += uint64(events)
	q.compact()
	return events, q.bytes <= limit
}

// compact keeps a queue of which the oldest events are dropped all the time from growing.
func (q *queue) compact() {
	if q.oldest < 1024 || q.oldest < len(q.frames)/2 {
		return
	}
	kept := q.frames[:0]
	for _, f := range q.frames[q.head:q.oldest] {
		if f != nil {
			kept = append(kept, f)
		}
	}
	start := len(kept)
	kept = append(kept, q.frames[q.oldest:]...)
	clear(q.frames[len(kept):])
	q.frames, q.head, q.oldest = kept, 0, start
}

// pool is a sync.Pool of one type.
type pool[T any] struct{ p sync.Pool }

func (p *pool[T]) get() *T {
	if v, ok := p.p.Get().(*T); ok {
		return v
	}
	return new(T)
}

func (p *pool[T]) put(v *T) { p.p.Put(v) }

// What a burst leaves behind is not kept for the next: the pools keep what a usual batch needs.
const (
	keepBytes  = 128 << 10
	keepFrames = 16 << 10
)

type bufferPool struct{ pool[[]byte] }

func (p *bufferPool) put(b *[]byte) {
	if cap(*b) <= keepBytes {
		p.pool.put(b)
	}
}

type listPool struct{ pool[[]*frame] }

func (p *listPool) put(l *[]*frame) {
	if cap(*l) <= keepFrames {
		p.pool.put(l)
	}
}

var (
	buffers bufferPool
	lists   listPool
)
