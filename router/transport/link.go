package transport

import (
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/router/message"
)

// Peer is what the connection itself says of who is at its other end.
type Peer struct {
	Addr        string
	Network     netip.Prefix      // the address, or for IPv6 the network that one customer usually has; zero for a unix socket
	Certificate *x509.Certificate // verified; nil where none was shown
	Protocol    string            // the WebSocket sub-protocol, or rawsocket.<serializer>
	Details     message.Dict      // what other sessions may know of the transport; shared, not to be changed
}

// phase is how far a link has come. It only grows.
type phase uint8

const (
	joining   phase = iota // before WELCOME: narrow limits
	joined                 // in a session
	finishing              // nothing new is queued; what waits is written, then the connection is closed
	closed
)

// source appends what the peer sends next, one WebSocket message or rawsocket frame, to a buffer that it takes from the pool
// when there is something, so that an idle link holds none.
type source interface {
	read(limit int) (*[]byte, error)
	// more reports that the next read need not wait.
	more() bool
}

// Link is one connected peer. One goroutine receives; any may send and finish.
type Link struct {
	conn net.Conn // what is written to: TLS or TCP
	raw  net.Conn // what is below TLS; closing it wakes whoever waits
	// carrier is between the two: it lets TLS write without waiting; nil where there is none.
	carrier *carrier
	in      inbound
	source  source
	codec   codec
	limits  *Limits
	// largest is how many bytes a message to the peer may have; 0: any number.
	largest int
	clock   *clock
	peer    Peer
	meter   atomic.Pointer[Meter]

	heard atomic.Int64 // when the peer last gave a sign of life
	pings atomic.Int32 // how many pings it left without one
	// writingSince is when the write that is under way was begun; 0: none is.
	writingSince atomic.Int64
	closing      atomic.Bool // phase >= finishing
	scratch      *[]byte     // of the receiver: what was read last; nil when all of it is decoded
	batch        []byte      // of the receiver: what is left of scratch

	mu      sync.Mutex  // guards what follows
	queue   queue       //
	queued  holding     // the bytes in queue
	phase   phase       //
	policy  Policy      //
	limit   int         // of bytes in queue
	writing bool        // the writer runs
	arrival *arrival    // ends the link when joining takes too long; nil when it has joined
	timer   *time.Timer // ends it when finishing does
	quiet   sync.Cond   // the writer has ended
	done    chan struct{}
}

func newLink(conn, raw net.Conn, c codec, p Peer, limits *Limits, clk *clock, m *Meter) *Link {
	l := &Link{conn: conn, raw: raw, codec: c, peer: p, limits: limits, clock: clk, limit: limits.FirstMessage, done: make(chan struct{})}
	l.quiet.L = &l.mu
	l.in.use(conn, l.alive)
	if l.carrier = l.in.carrier; l.carrier != nil {
		l.carrier.release()
	}
	l.meter.Store(m)
	l.heard.Store(clk.now())
	return l
}

// Peer tells who is at the other end.
func (l *Link) Peer() Peer { return l.peer }

// Done is closed when the connection is closed and nothing of the link runs any more.
func (l *Link) Done() <-chan struct{} { return l.done }

// Join widens the limits once the peer has proved who it is. Call it before WELCOME is sent. It reports whether the link
// is still open.
func (l *Link) Join(p Policy, b *Budget, m *Meter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != joining {
		return false
	}
	l.stopTimer()
	l.phase, l.policy, l.limit = joined, p, l.limits.Queue
	l.queued.budget, l.in.held.budget = b, b
	l.meter.Store(m)
	l.heard.Store(l.clock.now())
	settle(l.raw)
	return true
}

// Receive waits for the next message. A *message.ProtocolError is the peer's fault; after any other error there is nothing
// more to receive.
func (l *Link) Receive() (message.Message, error) {
	if l.scratch == nil {
		data, err := l.source.read(l.messageLimit())
		if err != nil {
			return nil, err
		}
		l.meter.Load().BytesIn.Add(uint64(len(*data)))
		l.scratch, l.batch = data, *data
	}
	if l.closing.Load() {
		return nil, ErrClosed
	}
	one, rest, err := l.codec.next(l.batch)
	if err != nil {
		return nil, err
	}
	m, err := message.Decode(l.codec.format, one)
	if l.batch = rest; len(rest) == 0 {
		l.in.held.set(0)
		buffers.put(l.scratch)
		l.scratch, l.batch = nil, nil
	}
	return m, err
}

// More reports whether what follows from the messages so far need not be flushed yet: the next one is there already, or may be
// in a TLS record that came with this one. Records are short where their senders' own batches are, so that to flush after each
// would keep the batches short.
func (l *Link) More() bool { return l.scratch != nil || l.carrier != nil || l.source.more() }

// Flushes makes Receive flush an outbox before it waits where More does not know. It is for the goroutine that receives.
func (l *Link) Flushes(o *Outbox) {
	if l.carrier != nil {
		l.carrier.in.outbox = o
	}
}

func (l *Link) messageLimit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == joining {
		return l.limits.FirstMessage
	}
	return l.limits.Message
}

// Send queues one message. It never blocks.
func (l *Link) Send(m message.Message) error { return l.SendIn(nil, m) }

// DeliverIn queues a message that may go to other links as well. It never blocks.
func (l *Link) DeliverIn(o *Outbox, p *Parcel) error {
	f, err := p.frame(l.codec)
	if err != nil {
		return err
	}
	return l.push(o, f)
}

// push queues a frame. It is written by the owner of the outbox, or without one by a goroutine.
func (l *Link) push(o *Outbox, f *frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.phase >= finishing:
		return ErrClosed
	case l.largest > 0 && len(f.data)-rawHead > l.largest:
		return ErrTooLarge
	}
	if keep, err := l.makeRoom(f); !keep {
		return err
	}
	l.queue.push(f)
	l.queued.set(l.queue.bytes)
	l.startWriter(o)
	return nil
}

// makeRoom applies the policy; keep says whether f is to be queued.
func (l *Link) makeRoom(f *frame) (keep bool, err error) {
	limit := l.limit
	if l.queued.over() {
		limit = min(limit, unit)
	}
	if l.queue.bytes <= limit {
		return true, nil
	}
	if l.policy != DropOldest {
		return false, ErrFull
	}
	dropped, enough := l.queue.dropOldest(limit - len(f.data))
	defer func() { l.meter.Load().Dropped.Add(uint64(dropped)) }()
	if enough || l.queue.bytes <= limit {
		return true, nil
	}
	if f.event != nil { // only replies wait, and they are more than the limit: the new event is the oldest one
		l.queue.dropped++
		dropped++
		return false, nil
	}
	return false, ErrFull
}

// Finish queues a last message, unless it is nil, writes what waits and closes the connection, all within the given time.
// It does not block. Only the first call has an effect.
func (l *Link) Finish(last message.Message, within time.Duration) {
	var frames []*frame
	if last != nil {
		if f, err := single(l.codec, last); err == nil {
			frames = append(frames, f)
		}
	}
	if l.codec.framing != rawSocket {
		frames = append(frames, &frame{data: closeFrame})
	}
	l.finish(frames, within)
}

// closeFrame is an unmasked WebSocket close with the code 1000.
var closeFrame = []byte{opClose, 2, 1000 >> 8, 1000 & 0xff}

func (l *Link) finish(last []*frame, within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase >= finishing {
		return
	}
	l.phase = finishing
	l.closing.Store(true)
	for _, f := range last {
		l.queue.push(f)
	}
	l.stopTimer()
	l.timer = time.AfterFunc(within, l.kill)
	l.startWriter(nil)
}

// kill closes the connection at once. What was not written yet is lost, and the kernel does not try on.
func (l *Link) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == closed {
		return
	}
	l.phase = closed
	l.closing.Store(true)
	l.stopTimer()
	if l.writing || l.queue.frames != nil {
		reset(l.raw)
	}
	l.queue.discard()
	l.queued.set(0)
	_ = l.raw.Close() // it is given up: there is nobody to tell
}

// joins reports whether the peer has not joined yet and still may.
func (l *Link) joins() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase == joining
}

// stopTimer leaves nothing behind that ends the link: most links live long without. The link is locked.
func (l *Link) stopTimer() {
	if l.arrival != nil {
		l.arrival.end()
		l.arrival = nil
	}
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// reset makes closing the connection drop what the kernel holds for it.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0) // fails on a connection that is closed already
	}
}

// end closes the connection and waits for the writer. Where the link is finishing it reads on until the peer closes too, so
// that the last message is not lost to a reset; the timer bounds that.
func (l *Link) end() {
	if l.closing.Load() {
		drain(l.conn)
	} else {
		l.kill()
	}
	l.mu.Lock()
	for l.writing {
		l.quiet.Wait()
	}
	l.mu.Unlock()
	l.kill()
	l.in.held.set(0)
	close(l.done)
}

// maxDrain is how many bytes of a peer that goes on sending are read after the last message was written to it.
const maxDrain = 1 << 20

func drain(c net.Conn) {
	scratch := make([]byte, 4<<10)
	for left := maxDrain; left > 0; {
		n, err := c.Read(scratch)
		if err != nil {
			return
		}
		left -= n
	}
}
