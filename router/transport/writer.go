package transport

import (
	"net"
)

// gather is how many bytes go into one write; a frame that is larger is written from where it is, in pieces.
const gather = 64 << 10

// batch is what one writer is about to write.
type batch struct {
	frames  []*frame
	size    int // counted in the queue until it is written
	buf     []byte
	attempt attempt
}

var batches pool[batch]

// startWriter runs the writer unless it runs; where there is an outbox, it leaves that to the owner. The link is locked.
func (l *Link) startWriter(o *Outbox) {
	if l.writing || l.phase == closed {
		return
	}
	l.writing = true
	if o.holds(l) {
		o.links = append(o.links, l)
		return
	}
	go l.write(batches.get())
}

// write writes what waits until nothing does. While a system call is under way more gathers for the next. The link's end
// waits for it.
func (l *Link) write(b *batch) {
	for l.next(b, true) {
		m := l.meter.Load()
		m.MessagesOut.Add(uint64(len(b.frames)))
		if err := l.writeAll(b.join()); err != nil {
			l.kill()
		}
		b.written()
	}
	b.done()
}

// join gives the batch in one piece.
func (b *batch) join() []byte {
	if len(b.frames) == 1 {
		return b.frames[0].data
	}
	b.buf = b.buf[:0]
	for _, f := range b.frames {
		b.buf = append(b.buf, f.data...)
	}
	return b.buf
}

// written gives back the frames.
func (b *batch) written() {
	for i, f := range b.frames {
		f.written()
		b.frames[i] = nil
	}
	b.frames = b.frames[:0]
}

// done gives back the batch.
func (b *batch) done() {
	if cap(b.buf) > keepBytes {
		b.buf = nil
	}
	batches.put(b)
}

// next takes the next batch. Where there is none the writer ends, and with it, on a link that is finishing, the writing half of
// the connection; a writer that may not wait gets an empty batch in the place of a farewell that TLS might have to wait for.
func (l *Link) next(b *batch, mayWait bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.meter.Load().raise(l.queue.bytes)
	l.queue.bytes = max(0, l.queue.bytes-b.size)
	l.queued.set(l.queue.bytes)
	b.frames = l.queue.pop(b.frames[:0], gather)
	b.size = 0
	for i, f := range b.frames {
		b.size += len(f.data)
		if l.queue.dropped > 0 && f.event != nil {
			b.frames[i] = l.notice(f)
		}
	}
	if len(b.frames) > 0 || l.phase == finishing && l.carrier != nil && !mayWait {
		return true
	}
	if l.phase == finishing {
		l.mu.Unlock() // it may block, and kill must be able to end that
		closeWrite(l.conn)
		_ = l.drain() // fails on a connection that is broken
		closeWrite(l.raw)
		l.mu.Lock()
	}
	l.writing = false
	l.quiet.Broadcast()
	return false
}

// notice is the event with the count of those that were dropped before it.
func (l *Link) notice(f *frame) *frame {
	e := *f.event
	e.Details.Dropped = l.queue.dropped
	data, err := l.codec.frame(&e)
	if err != nil {
		return f
	}
	l.queue.dropped = 0
	return &frame{data: data}
}

// writeAll notes when each piece was begun, for the server to end a write that takes too long. A large message to a slow peer
// is not a dead one, so each piece has its own time. A deadline for each would cost as much as all else that is done here.
func (l *Link) writeAll(data []byte) error {
	m := l.meter.Load()
	defer l.writingSince.Store(0)
	for len(data) > 0 {
		l.writingSince.Store(l.clock.now())
		n, err := l.conn.Write(data[:min(len(data), 4*gather)])
		m.Writes.Add(1)
		m.BytesOut.Add(uint64(n))
		if err == nil {
			err = l.drain()
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// drain waits until all that was given to TLS is written.
func (l *Link) drain() error {
	if l.carrier == nil || !l.carrier.full() {
		return nil
	}
	l.writingSince.Store(l.clock.now())
	defer l.writingSince.Store(0)
	return l.carrier.drain()
}

// closeWrite tells the peer that nothing more comes.
func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite() // a peer that is gone already need not be told
	}
}
