package transport

import (
	"syscall"

	"bulkhead/router/message"
)

// Outbox holds the links that have something to be written because of one session, until that session's goroutine has handled
// what it has received and writes it itself: a goroutine for each message would cost more than its system call. An outbox
// never waits for a peer: what a connection does not take at once is left to a goroutine of the link's own, and so are links
// beyond a few. It is used by one goroutine, which must Flush before it waits for anything. The zero Outbox is empty.
type Outbox struct {
	links []*Link
	own   *Link
}

// Outbox gives an outbox whose owner may wait for this one peer, over TLS too: for the goroutine that lets it in.
func (l *Link) Outbox() Outbox { return Outbox{own: l} }

// holds reports whether what waits for a link is left to the owner.
func (o *Outbox) holds(l *Link) bool { return o != nil && (l.in.raw != nil || o.own == l) }

// inline is how many links an outbox writes to by itself; a publication to more is written by many at a time.
const inline = 8

// FlushAfter writes what waits after so many messages were handled. Who has handled one that goes to few does so at once.
// Everybody else has to wait for a turn: it is what keeps a flood of one realm from being felt in another. What others have
// for the same links meanwhile goes with it.
func (o *Outbox) FlushAfter(handled int) {
	if handled == 1 && len(o.links) <= inline {
		o.Flush()
		return
	}
	ofProcess().have(o.Flush)
}

// Flush writes what waits, at once.
func (o *Outbox) Flush() {
	if o == nil || len(o.links) == 0 {
		return
	}
	for i, l := range o.links {
		o.links[i] = nil
		switch {
		case l == o.own:
			l.write(batches.get())
		case i < inline:
			l.flush()
		default:
			go l.write(batches.get())
		}
	}
	o.links = o.links[:0]
	if cap(o.links) > keepLinks {
		o.links = nil
	}
}

// keepLinks is for how many links an outbox keeps room.
const keepLinks = 128

// SendIn is Send for the owner of an outbox.
func (l *Link) SendIn(o *Outbox, m message.Message) error {
	f, err := single(l.codec, m)
	if err != nil {
		return err
	}
	if err = l.push(o, f); err != nil {
		f.written()
	}
	return err
}

// flush is what a writer does, as far as it need not wait.
func (l *Link) flush() {
	b := batches.get()
	if !l.next(b) {
		b.done()
		return
	}
	left, err := l.attempt(b)
	switch {
	case err != nil:
		l.kill()
	case len(left) > 0:
		go l.resume(b, left)
		return
	}
	if !l.next(b) {
		b.done()
		return
	}
	go l.resume(b, b.join()) // more came meanwhile
}

// resume is a writer that begins with what is left of a batch.
func (l *Link) resume(b *batch, left []byte) {
	if err := l.writeAll(left); err != nil {
		l.kill()
	}
	b.written()
	l.write(b)
}

// attempt writes as much of a batch as the connection takes at once.
func (l *Link) attempt(b *batch) (left []byte, err error) {
	m := l.meter.Load()
	m.MessagesOut.Add(uint64(len(b.frames)))
	data := b.join()
	n, err := b.tryWrite(l.in.raw, data)
	m.Writes.Add(1)
	m.BytesOut.Add(uint64(n))
	if err == nil && n == len(data) {
		b.written()
	}
	return data[n:], err
}

// tryWrite writes what the connection takes at once.
func (b *batch) tryWrite(conn syscall.RawConn, data []byte) (n int, err error) {
	if b.try == nil {
		b.try = b.write
	}
	b.data, b.n, b.err = data, 0, nil
	err = conn.Write(b.try)
	b.data = nil
	if err == nil {
		err = b.err
	}
	return b.n, err
}

// write is done after one call of the system, whatever came of it.
func (b *batch) write(fd uintptr) (done bool) {
	n, err := syscall.Write(int(fd), b.data)
	for err == syscall.EINTR {
		n, err = syscall.Write(int(fd), b.data)
	}
	b.n = max(n, 0)
	if err != syscall.EAGAIN {
		b.err = err
	}
	return true
}
