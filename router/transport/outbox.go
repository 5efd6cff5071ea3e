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
	links   []*Link
	own     *Link
	handled int // messages of the owner's since there was a turn
}

// Outbox gives an outbox whose owner may wait for this one peer: for the goroutine that lets it in.
func (l *Link) Outbox() Outbox { return Outbox{own: l} }

// holds reports whether what waits for a link is left to the owner.
func (o *Outbox) holds(l *Link) bool {
	return o != nil && (l.in.raw != nil || l.carrier != nil || o.own == l)
}

// inline is how many links an outbox writes to without a turn.
const inline = 8

// mostGathered is how many messages of a session are handled before what follows from them is written.
const mostGathered = 32

// Handled counts a message that the owner has handled, and writes what waits after so many of them; where there are no more, at
// once.
func (o *Outbox) Handled(more bool) {
	if o.handled++; o.handled == mostGathered || !more {
		o.flushInTurn()
	}
}

// flushInTurn writes what waits. Who has handled one message that goes to few does so at once. Everybody else has to wait for a
// turn: it is what keeps a flood of one realm from being felt in another. What others have for the same links meanwhile goes
// with it.
func (o *Outbox) flushInTurn() {
	handled := o.handled
	o.handled = 0
	if handled <= 1 && len(o.links) <= inline {
		o.Flush()
		return
	}
	o.links = writeInTurns(ofProcess(), o.links)
}

// FlushToWait writes what waits when the owner finds no more messages.
func (o *Outbox) FlushToWait() {
	if o.waits() {
		o.flushInTurn()
	} else if o != nil {
		o.handled = 0
	}
}

// waits reports whether there is something to flush.
func (o *Outbox) waits() bool { return o != nil && len(o.links) > 0 }

// Flush writes what waits, at once.
func (o *Outbox) Flush() {
	if !o.waits() {
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
	if !l.next(b, false) {
		b.done()
		return
	}
	left, err := l.attempt(b)
	switch {
	case err != nil:
		l.kill()
	case len(left) > 0 || l.carrier != nil && l.carrier.full():
		go l.resume(b, left)
		return
	}
	if !l.next(b, false) {
		b.done()
		return
	}
	go l.resume(b, b.join()) // more came meanwhile
}

// resume is a writer that begins with what is left of a batch.
func (l *Link) resume(b *batch, left []byte) {
	err := l.drain()
	if err == nil {
		err = l.writeAll(left)
	}
	if err != nil {
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
	if l.carrier != nil && len(data) > gather {
		return data, nil // to encrypt so much takes its time
	}
	n, err := l.try(b, data)
	m.Writes.Add(1)
	m.BytesOut.Add(uint64(n))
	if err == nil && n == len(data) {
		b.written()
	}
	return data[n:], err
}

// try writes without waiting. Over TLS that takes everything; what could not be written is in the carrier.
func (l *Link) try(b *batch, data []byte) (int, error) {
	if l.carrier != nil {
		return l.conn.Write(data)
	}
	return b.attempt.write(l.in.raw, data)
}

// attempt is a write that does not wait. It is used again, because what it hands to the system's connection escapes.
type attempt struct {
	try  func(fd uintptr) bool
	data []byte
	n    int
	err  error
}

// write writes what the connection takes at once.
func (a *attempt) write(conn syscall.RawConn, data []byte) (n int, err error) {
	if a.try == nil {
		a.try = a.once
	}
	a.data, a.n, a.err = data, 0, nil
	err = conn.Write(a.try)
	a.data = nil
	if err == nil {
		err = a.err
	}
	return a.n, err
}

// once is done after one call of the system, whatever came of it.
func (a *attempt) once(fd uintptr) (done bool) {
	n, err := syscall.Write(int(fd), a.data)
	for err == syscall.EINTR {
		n, err = syscall.Write(int(fd), a.data)
	}
	a.n = max(n, 0)
	if err != syscall.EAGAIN {
		a.err = err
	}
	return true
}
