package mux

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	initialWindow = 256 << 10
	// queued is what one stream keeps to be sent.
	queued = 128 << 10
	// Each stream goes before others with its first bytes, and with few later on: those of who types.
	quick          = 64 << 10
	quickPerSecond = 16 << 10
	// maxControl is how many frames without data may wait. Only a peer that asks and does not read makes more.
	maxControl = 8 << 10
	maxCredit  = 1 << 30
)

var (
	errReset = errors.New("mux: the stream was broken off")
	errOver  = errors.New("mux: the session is over")
)

// table is the streams of one side: what it may send and must take, and who is next. It does no I/O, has no clock and starts
// nothing; whoever uses it holds mu.
type table struct {
	config  Config
	mu      *sync.Mutex
	client  bool
	next    uint32 // id of the next stream of this side: odd at the client
	last    uint32 // id of the last that the other side has opened
	streams map[uint32]*stream
	theirs  int // streams that the other side has opened and this one has not closed
	stray   int // bytes that may still come for streams which are gone
	room    int // that windows may still grow by
	arrived []*stream
	control []frame
	quick   []*stream // with something to send, in the order of their turns
	bulk    []*stream
	rests   bool      // bulk waits, as if the line were full
	ping    bool      // a mark is wanted, whether data is sent or not
	spoke   time.Time // when something was sent last
	closing bool      // what is left is sent without regard to what is under way
	pace    pace
}

// stream is one stream as its side sees it.
type stream struct {
	id      uint32
	theirs  bool
	changed *sync.Cond

	out       queue
	credit    int  // bytes that may be sent
	ending    bool // no more is written
	ended     bool // and the other side was told
	listed    bool // it waits for a turn
	deficit   int
	quickLeft int
	quickAt   time.Time

	in         queue
	window     int
	granted    int // bytes that may come
	consumed   int // read since the last credit
	creditedAt time.Time
	peerEnded  bool

	broken   error
	closed   bool // its user is done with it
	closedAt time.Time
	gone     bool // not in the table any more
}

func newTable(c Config, client bool, mu *sync.Mutex) *table {
	t := &table{config: c, mu: mu, client: client, next: 2, streams: map[uint32]*stream{}, room: c.Budget}
	if client {
		t.next = 1
	}
	return t
}

func (t *table) add(id uint32, theirs bool, now time.Time) *stream {
	s := &stream{
		id: id, theirs: theirs, changed: sync.NewCond(t.mu), credit: initialWindow, window: initialWindow, granted: initialWindow,
		quickLeft: quick, quickAt: now, creditedAt: now,
	}
	t.streams[id] = s
	return s
}

// open begins a stream.
func (t *table) open(now time.Time) *stream {
	s := t.add(t.next, false, now)
	t.next += 2
	t.control = append(t.control, frame{kind: kindOpen, stream: s.id})
	return s
}

// accept gives the next stream that the other side has opened and not broken off again.
func (t *table) accept() *stream {
	for len(t.arrived) > 0 {
		s := t.arrived[0]
		t.arrived = t.arrived[1:]
		if s.broken == nil {
			return s
		}
		t.close(s, time.Time{})
	}
	return nil
}

// write takes of b what there is room for.
func (t *table) write(s *stream, b []byte, now time.Time) (int, error) {
	if s.broken != nil {
		return 0, s.broken
	}
	if s.ending {
		return 0, io.ErrClosedPipe
	}
	n := min(len(b), queued-s.out.size)
	s.out.write(b[:n])
	t.list(s, now)
	return n, nil
}

// take takes a chunk where there is room, and reports whether there is.
func (t *table) take(s *stream, c *chunk, now time.Time) (bool, error) {
	if s.broken != nil {
		return false, s.broken
	}
	if s.ending {
		return false, io.ErrClosedPipe
	}
	if s.out.size+c.size() > queued {
		return false, nil
	}
	if !s.out.add(c) {
		chunks.Put(c)
	}
	t.list(s, now)
	return true, nil
}

// end has the stream end once all that was written is sent.
func (t *table) end(s *stream, now time.Time) {
	if s.broken == nil && !s.ending {
		s.ending = true
		t.list(s, now)
	}
}

// read gives what has come. It gives nothing where nothing has, without an error.
func (t *table) read(s *stream, b []byte, now time.Time) (int, error) {
	n := s.in.read(b)
	return n, t.consumed(s, n, now)
}

// give is read without copying, as far as into has room.
func (t *table) give(s *stream, into []*chunk, now time.Time) ([]*chunk, error) {
	before := s.in.size
	into = s.in.pop(into)
	return into, t.consumed(s, before-s.in.size, now)
}

// consumed notes what was read; nothing may be the end.
func (t *table) consumed(s *stream, n int, now time.Time) error {
	switch {
	case n > 0:
		s.consumed += n
		t.grant(s, now)
		return nil
	case s.closed:
		return io.ErrClosedPipe
	case s.peerEnded:
		return io.EOF
	default:
		return s.broken
	}
}

// grant gives credit for what was read, and a larger window to a stream that is held up by its own.
func (t *table) grant(s *stream, now time.Time) {
	if s.consumed < s.window/4 || s.peerEnded || s.gone {
		return
	}
	more := s.consumed
	if larger := min(2*s.window, t.config.Window); larger > s.window && larger-s.window <= t.room && now.Sub(s.creditedAt) < 4*(t.pace.trip+5*time.Millisecond) {
		more += larger - s.window
		t.room -= larger - s.window
		s.window = larger
	}
	s.consumed, s.creditedAt = 0, now
	s.granted += more
	t.control = append(t.control, frame{kindCredit, s.id, uint64(more)}) //nolint:gosec // positive
}

// reset breaks a stream off.
func (t *table) reset(s *stream) {
	if !s.gone {
		t.control = append(t.control, frame{kind: kindReset, stream: s.id})
	}
	t.breakOff(s, errReset)
	t.close(s, time.Time{})
}

// breakOff ends a stream at this side, at once.
func (t *table) breakOff(s *stream, why error) {
	if s.broken == nil {
		s.broken = why
	}
	s.out.drop()
	if errors.Is(why, errReset) {
		s.in.drop()
		s.peerEnded = false
	}
	t.forget(s)
	s.changed.Broadcast()
}

// close says that nobody reads or writes at this side any more. What was written is still sent.
func (t *table) close(s *stream, now time.Time) {
	if s.closed {
		return
	}
	s.closed, s.closedAt = true, now
	if s.theirs && s.gone {
		t.theirs--
	}
	unread := s.in.size > 0
	s.in.drop()
	if unread && !s.peerEnded && !s.gone {
		t.control = append(t.control, frame{kind: kindReset, stream: s.id})
		t.breakOff(s, errReset)
	}
	t.end(s, now)
	t.settle(s)
}

// settle forgets a stream that is over in both directions.
func (t *table) settle(s *stream) {
	if s.closed && s.ended && s.peerEnded {
		t.forget(s)
	}
}

func (t *table) forget(s *stream) {
	if s.gone {
		return
	}
	s.gone = true
	delete(t.streams, s.id)
	t.stray += s.granted
	t.room += s.window - initialWindow
	if s.theirs && s.closed {
		t.theirs--
	}
}

// expire breaks off the streams that nobody has used since, and that the other side does not end.
func (t *table) expire(since time.Time) {
	for _, s := range t.streams {
		if s.closed && s.closedAt.Before(since) {
			t.control = append(t.control, frame{kind: kindReset, stream: s.id})
			t.breakOff(s, errReset)
		}
	}
}

// over ends all streams. What had come to its end can still be read. Where that is wanted, what was written to an end is
// still sent.
func (t *table) over(finish bool) {
	t.closing = finish
	for _, s := range t.streams {
		if finish && s.ending && !s.ended && s.broken == nil {
			s.broken = errOver
			s.changed.Broadcast()
			continue
		}
		t.breakOff(s, errOver)
	}
	if !finish {
		t.control, t.quick, t.bulk = nil, nil, nil
	}
}

// finished reports whether nothing is left of what over wanted to be sent.
func (t *table) finished() bool {
	for _, s := range t.streams {
		if !s.ended {
			return false
		}
	}
	return true
}
