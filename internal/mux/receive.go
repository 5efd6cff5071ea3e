package mux

import "time"

// Everything here comes from the other side, which may lie. An error ends the session.

// known reports whether a stream has ever been.
func (t *table) known(id uint32) bool {
	if t.own(id) {
		return id < t.next
	}
	return id <= t.last
}

func (t *table) own(id uint32) bool { return (id%2 == 1) == t.client }

// receive takes a frame without data.
func (t *table) receive(f frame, now time.Time) error {
	switch f.kind {
	case kindOpen:
		return t.opened(f.stream, now)
	case kindMark:
		return t.answer(frame{kind: kindSeen, value: f.value})
	case kindSeen:
		return t.pace.answered(now, f.value)
	}
	s := t.streams[f.stream]
	if s == nil {
		if !t.known(f.stream) {
			return broke("a frame for stream %d, which never was", f.stream)
		}
		return nil // it has ended here, and the other side may not know
	}
	switch f.kind {
	case kindEnd:
		if s.peerEnded {
			return broke("stream %d ends twice", f.stream)
		}
		s.peerEnded = true
		s.changed.Broadcast()
		t.settle(s)
	case kindReset:
		t.breakOff(s, errReset)
	case kindCredit:
		if f.value == 0 || f.value > maxCredit || s.credit+int(f.value) > maxCredit {
			return broke("credit of %d", f.value)
		}
		s.credit += int(f.value)
		t.list(s, now)
	}
	return nil
}

// opened takes a new stream, or refuses it.
func (t *table) opened(id uint32, now time.Time) error {
	if t.own(id) || id <= t.last {
		return broke("stream %d is opened", id)
	}
	t.last = id
	if t.theirs >= t.config.Streams {
		t.stray += initialWindow
		return t.answer(frame{kind: kindReset, stream: id})
	}
	t.theirs++
	t.arrived = append(t.arrived, t.add(id, true, now))
	return nil
}

// answer queues what the other side has caused.
func (t *table) answer(f frame) error {
	if len(t.control) >= maxControl {
		return broke("it asks and does not read the answers")
	}
	t.control = append(t.control, f)
	return nil
}

// data takes data and gives back a chunk that is free.
func (t *table) data(id uint32, c *chunk) (*chunk, error) {
	n := c.size()
	s := t.streams[id]
	switch {
	case s == nil && !t.known(id):
		return c, broke("data for stream %d, which never was", id)
	case s == nil:
		if t.stray -= n; t.stray < 0 {
			return c, broke("endless data for streams that are over")
		}
		return c, nil
	case s.peerEnded:
		return c, broke("data after the end of stream %d", id)
	case n > s.granted:
		return c, broke("stream %d exceeds its window", id)
	}
	s.granted -= n
	if s.closed {
		t.breakOff(s, errReset)
		return c, t.answer(frame{kind: kindReset, stream: id})
	}
	c = s.in.give(c)
	s.changed.Broadcast()
	return c, nil
}
