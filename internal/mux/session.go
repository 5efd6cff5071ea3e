package mux

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const (
	// writeTimeout is how long the other side may take no byte.
	writeTimeout = 30 * time.Second
	// maxMessage is the most that the other side may put into one message.
	maxMessage = 64 << 10
	// linger is how long what was written to an end may take to be sent after Close.
	linger = 300 * time.Millisecond
	// forgetAfter is how long a stream that nobody uses waits for the other side to end it.
	forgetAfter = 5 * time.Minute
)

// session has a table's frames read and written. Three goroutines are its own: one reads, one writes, one looks at the
// clock. They end with it, and Close waits for them.
type session struct {
	ws       *websocket.Conn
	sender   *sender // of the one that writes
	ping     time.Duration
	kernel   look         // of the one that writes
	wake     *time.Timer  // has that one go on, where nothing else may
	heard    atomic.Int64 // when something came, Unix nanoseconds
	done     chan struct{}
	wg       sync.WaitGroup
	written  sync.WaitGroup // the one that writes
	mu       sync.Mutex     // guards what follows, and the table with its streams
	work     *sync.Cond     // there may be something to write, or to accept
	arrivals *sync.Cond
	table    *table
	err      error // why it is over
	cut      bool  // what is left is not sent
}

func newSession(ws *websocket.Conn, c Config, client bool) *session {
	if c.Ping <= 0 {
		c.Ping = defaultPing
	}
	s := &session{ws: ws, ping: c.Ping, done: make(chan struct{})}
	s.work, s.arrivals = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	s.table = newTable(c, client, &s.mu)
	s.table.ping = true // to learn how long the way takes
	s.heard.Store(time.Now().UnixNano())
	ws.SetReadLimit(maxMessage)
	s.sender = newSender(ws.NetConn(), !c.Upgraded)
	tune(s.sender.socket)
	s.wake = time.AfterFunc(0, s.goOn)
	s.wg.Go(func() { s.end(s.read(), false) })
	s.written.Go(s.write)
	s.wg.Go(s.watch)
	return s
}

var (
	errText   = errors.New("mux: a message that is not binary")
	errBye    = errors.New("mux: the other side has ended the session")
	errSilent = errors.New("mux: the other side is silent")
)

// end ends the session for a reason; the first counts. Where it is to finish, what was written to an end is still sent.
func (s *session) end(why error, finish bool) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = why
		s.table.over(finish)
		close(s.done)
	}
	s.cut = s.cut || !finish
	s.work.Broadcast()
	s.arrivals.Broadcast()
	s.mu.Unlock()
	if !finish {
		_ = s.ws.Close() // wakes who reads and writes
	}
}

// read takes frames until there are no more.
func (s *session) read() error {
	free := newChunk()
	defer func() { chunks.Put(free) }()
	for {
		kind, r, err := s.ws.NextReader()
		if err != nil {
			return err
		}
		if kind != websocket.BinaryMessage {
			return errText
		}
		s.heard.Store(time.Now().UnixNano())
		for err == nil {
			free, err = s.readFrame(r, free)
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// readFrame takes one frame. At the end of a message it gives io.EOF.
func (s *session) readFrame(r io.Reader, free *chunk) (*chunk, error) {
	if _, err := io.ReadFull(r, free.space(headSize)); err != nil {
		return free, cutOff(err)
	}
	h, err := parseHead(free.space(headSize))
	if err != nil {
		return free, err
	}
	if _, err := io.ReadFull(r, free.space(h.length)); err != nil && h.length > 0 {
		return free, broke("a frame is cut off: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.work.Signal()
	if h.kind == kindData {
		free.filled(h.length)
		return s.table.data(h.stream, free)
	}
	if h.kind == kindBye {
		return free, errBye
	}
	f := frame{kind: h.kind, stream: h.stream}
	if h.length == valueSize {
		f.value = binary.BigEndian.Uint64(free.space(valueSize))
	}
	err = s.table.receive(f, time.Now())
	if len(s.table.arrived) > 0 {
		s.arrivals.Signal()
	}
	return free, err
}

// cutOff tells the end of a message from a head that is not whole.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return broke("a frame is cut off")
	}
	return err
}

// write writes what is due until the session is over. Who has more to send is let run before packets go out that are not full.
func (s *session) write() {
	defer s.wake.Stop()
	own := newChunk()
	defer chunks.Put(own)
	let := false // others were let run
	for last := false; !last; {
		var more bool
		var c *chunk
		own.empty()
		c, more, last = s.due(own, !s.sender.keeps)
		var err error
		switch full := c.size() > message/2; {
		case c.size() > 0:
			let = false
			err = s.sender.send(c.bytes[c.first-headRoom:c.last], !last && (more || full))
		case !let && !last:
			let = true
			runtime.Gosched()
		default:
			err = s.sender.flush()
		}
		if c != own {
			chunks.Put(c)
		}
		if err != nil {
			s.end(err, false)
			return
		}
	}
}

// due gives what to write, and whether there will be more at once. Where it may wait it gives nothing only as the last, when
// the session was cut off; before that, where there is time, the bye.
func (s *session) due(own *chunk, wait bool) (c *chunk, more, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.cut {
		now := time.Now()
		s.glance(now)
		if c = s.table.compose(own, now); c.size() > 0 {
			return c, s.table.pending(), false
		}
		if s.err != nil && s.table.finished() {
			own.last += len(frame{kind: kindBye}.append(own.data()))
			return own, false, true
		}
		if !wait {
			return own, false, false
		}
		if s.table.pace.filling() {
			s.wake.Reset(wakeEvery)
		}
		s.work.Wait()
	}
	return own, false, true
}

// glance has bulk wait while the kernel looks how long the way is.
func (s *session) glance(now time.Time) {
	if s.sender.bbr && s.kernel.due(now) {
		if g, ok := ask(s.sender.socket); ok {
			s.kernel.seen(now, g)
		}
	}
	s.table.rests = s.kernel.waits(now)
	s.table.ping = s.table.ping || s.table.rests && s.kernel.looks // a look ends with an answer
}

// goOn has the one that writes look again. It locks, so that it does not come just before the other begins to wait.
func (s *session) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work.Signal()
}

// watch has a silent peer noticed, and streams forgotten that wait for an end in vain.
func (s *session) watch() {
	tick := time.NewTicker(max(s.ping/2, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case now := <-tick.C:
			s.look(now)
		}
	}
}

func (s *session) look(now time.Time) {
	s.mu.Lock()
	s.table.expire(now.Add(-forgetAfter))
	every := s.ping
	if len(s.table.streams) == 0 {
		every *= 2
	}
	silent := now.Sub(time.Unix(0, s.heard.Load()))
	s.table.ping = s.table.ping || silent >= every
	s.work.Signal()
	s.mu.Unlock()
	if silent >= 2*every {
		s.end(errSilent, false)
	}
}

func (s *session) over() error {
	return errs.As(wire.Unavailable, s.err, "the connection to the gateway is over")
}

func (s *session) Open(ctx context.Context) (Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.As(wire.Canceled, err, "canceled")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.over()
	}
	defer s.work.Signal()
	return &conn{stream: s.table.open(time.Now()), session: s}, nil
}

func (s *session) Accept() (Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.err != nil {
			return nil, s.over()
		}
		if stream := s.table.accept(); stream != nil {
			if len(s.table.arrived) > 0 {
				s.arrivals.Signal()
			}
			return &conn{stream: stream, session: s}, nil
		}
		s.arrivals.Wait()
	}
}

func (s *session) Close() {
	s.end(errOver, true)
	cut := time.AfterFunc(linger, func() { s.end(errOver, false) })
	s.written.Wait()
	cut.Stop()
	_ = s.ws.Close()
	s.wg.Wait()
}

func (s *session) Done() <-chan struct{} { return s.done }
