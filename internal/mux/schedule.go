package mux

import "time"

// list has a stream wait for its turn if it has something to send.
func (t *table) list(s *stream, now time.Time) {
	if s.listed || !s.sendable() {
		return
	}
	s.listed = true
	if now.After(s.quickAt) {
		s.quickLeft = min(quick, s.quickLeft+int(now.Sub(s.quickAt).Seconds()*quickPerSecond))
		s.quickAt = now
	}
	if s.quickLeft > 0 {
		t.quick = append(t.quick, s)
	} else {
		t.bulk = append(t.bulk, s)
	}
}

func (s *stream) sendable() bool {
	return !s.gone && (s.out.size > 0 && s.credit > 0 || s.out.size == 0 && s.ending && !s.ended)
}

// pick gives the stream whose turn it is: first those that say little, then the others, each with its share.
func (t *table) pick() *stream {
	// Even who says little waits where twice as much is under way as should be.
	if !t.closing && t.pace.underWay() >= 2*t.pace.allowance() {
		return nil
	}
	for len(t.quick) > 0 {
		s := t.quick[0]
		t.quick = t.quick[1:]
		if s.sendable() && s.quickLeft > 0 {
			t.quick = append(t.quick, s)
			return s
		}
		if s.listed = s.sendable(); s.listed {
			t.bulk = append(t.bulk, s)
		}
	}
	if !t.closing && !t.pace.open() {
		return nil
	}
	for len(t.bulk) > 0 {
		s := t.bulk[0]
		switch {
		case !s.sendable():
			s.listed, s.deficit = false, 0
			t.bulk = t.bulk[1:]
		case s.deficit <= 0:
			s.deficit += t.pace.turn()
			t.bulk = append(t.bulk[1:], s)
		default:
			return s
		}
	}
	return nil
}

// compose gives what goes out next as one message: in c, which is empty, or in a chunk that was a stream's and is the
// caller's now. The chunk stays empty where nothing may go out.
func (t *table) compose(c *chunk, now time.Time) *chunk {
	const most = message - (headSize + valueSize) // and a mark
	if t.pace.tick(now, t.rests); !t.closing && now.Sub(t.spoke) < t.pace.spacing() {
		return c
	}
	b := c.data()
	for len(t.control) > 0 && len(b)+headSize+valueSize <= most {
		b = t.control[0].append(b)
		t.control = t.control[1:]
	}
	for {
		s := t.pick()
		if s == nil {
			break
		}
		room := min(most-len(b)-headSize, t.pace.data())
		want := min(s.out.size, s.credit, t.pace.data())
		if room < want && len(b) > 0 {
			break // it goes out in one piece, in the next message
		}
		if whole := s.out.whole(headRoom+len(b)+headSize, min(want, room)); whole != nil {
			c, b = whole, t.carry(s, b, whole, now)
			break
		}
		b = t.send(s, b, min(want, room), now)
		if t.pace.enough() {
			break
		}
	}
	if t.pace.due(now, t.ping) {
		t.ping = false
		full := len(t.quick) > 0 || len(t.bulk) > 0
		b = frame{kind: kindMark, value: t.pace.mark(now, full)}.append(b)
	}
	if len(b) > 0 {
		t.spoke = now
	}
	c.last = c.first + len(b)
	return c
}

// send appends a frame of a stream.
func (t *table) send(s *stream, b []byte, n int, now time.Time) []byte {
	if s.out.size == 0 {
		s.ended = true
		b = frame{kind: kindEnd, stream: s.id}.append(b)
		t.settle(s)
		return b
	}
	b = appendHead(b, kindData, n, s.id)
	b = b[:len(b)+n]
	s.out.read(b[len(b)-n:])
	t.passed(s, n, now)
	return b
}

// carry has a chunk of a stream carry its own head, and before that b. It begins where those do, then.
func (t *table) carry(s *stream, b []byte, c *chunk, now time.Time) []byte {
	n := c.size()
	b = appendHead(b, kindData, n, s.id)
	c.first -= len(b)
	copy(c.data(), b)
	t.passed(s, n, now)
	return c.data()
}

// passed counts data of a stream that goes out.
func (t *table) passed(s *stream, n int, now time.Time) {
	s.credit -= n
	s.deficit -= n
	s.quickLeft = max(0, s.quickLeft-n)
	t.pace.passed(now, n)
	if s.out.size <= queued/2 {
		s.changed.Broadcast() // for less it is not worth while to wake who writes
	}
}

// pending reports whether there is more to send, now or as soon as some of what is under way has arrived.
func (t *table) pending() bool { return len(t.control)+len(t.quick)+len(t.bulk) > 0 }
