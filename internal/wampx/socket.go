package wampx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gorilla/websocket"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/wire"
)

// flushTimeout bounds what Close still writes.
const flushTimeout = 2 * time.Second

// socket is a wamp.Peer over a WebSocket.
type socket struct {
	conn       *websocket.Conn
	link       *link // below conn: closing it waits for nothing
	serializer Serializer
	interval   time.Duration
	in         chan wamp.Message
	out        chan wamp.Message // never closed: senders may be waiting
	quit       chan struct{}     // closed by Close: write what is queued, then stop
	quitOnce   sync.Once
	dead       chan struct{} // closed when nothing more will be written
	group      *lifecycle.Group

	mu  sync.Mutex // guards err
	err error
}

var _ wamp.Peer = (*socket)(nil)

func newSocket(conn *websocket.Conn, link *link, serializer Serializer, interval time.Duration) *socket {
	p := &socket{
		conn: conn, link: link, serializer: serializer, interval: interval,
		in: make(chan wamp.Message), out: make(chan wamp.Message, 8),
		quit: make(chan struct{}), dead: make(chan struct{}),
		group: lifecycle.NewGroup(context.Background()),
	}
	conn.SetReadLimit(maxMessage)
	p.group.Go(func(context.Context) { p.read() })
	p.group.Go(func(context.Context) { p.write() })
	return p
}

// IsLocal tells nexus that this peer is not in the router's process.
func (p *socket) IsLocal() bool { return false }

// Recv gives the messages from the router; it is closed when there will be no more.
func (p *socket) Recv() <-chan wamp.Message { return p.in }

// Send takes the messages to the router.
func (p *socket) Send() chan<- wamp.Message { return p.out }

// Close writes what is queued, within a bound, and ends the connection.
func (p *socket) Close() {
	p.quitOnce.Do(func() { close(p.quit) })
	defer p.abortAfter(flushTimeout).Stop()
	<-p.dead
	p.group.Stop()
}

// abort ends the connection without a word: closing conn would first write one, to a peer that may take none.
func (p *socket) abort() { _ = p.link.Close() }

func (p *socket) abortAfter(d time.Duration) *time.Timer { return time.AfterFunc(d, p.abort) }

// Err tells why the connection ended.
func (p *socket) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// fail keeps the first reason.
func (p *socket) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *socket) read() {
	defer close(p.in)
	for {
		m, err := p.readMessage()
		if err != nil {
			p.fail(err)
			p.abort() // wakes the writer where it writes
			return
		}
		select {
		case p.in <- m:
		case <-p.quit:
			return
		}
	}
}

func (p *socket) readMessage() (wamp.Message, error) {
	var timeout net.Error // gorilla hides os.ErrDeadlineExceeded
	kind, data, err := p.conn.ReadMessage()
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, fmt.Errorf("the router is silent: %w", err)
	case err != nil:
		return nil, fmt.Errorf("read: %w", err)
	case (kind == websocket.BinaryMessage) != p.serializer.binary():
		return nil, errors.New("read: a frame of the wrong type")
	}
	list, err := p.serializer.decode(data)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	m, err := fromList(list)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return m, nil
}

// write writes what is sent, and a ping in each interval, until Close or a failure.
func (p *socket) write() {
	defer close(p.dead)
	defer p.abort()
	ping := time.NewTicker(p.interval)
	defer ping.Stop()
	for {
		var err error
		select {
		case m := <-p.out:
			err = p.writeMessage(m)
		case <-ping.C:
			err = p.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		case <-p.quit:
			p.flush()
			_ = p.conn.Close() // tells TLS too, within the time that Close allows
			return
		}
		if err != nil {
			p.fail(fmt.Errorf("write: %w", err))
			return
		}
	}
}

// flush writes what is queued and the closing frame. Close bounds its time.
func (p *socket) flush() {
	for {
		select {
		case m := <-p.out:
			if p.writeMessage(m) != nil {
				return
			}
		default:
			farewell := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = p.conn.WriteControl(websocket.CloseMessage, farewell, time.Now().Add(flushTimeout))
			return
		}
	}
}

// encoded is a message that its sender has written already.
type encoded struct {
	wamp.Message
	data []byte
}

// encode writes m, so that whoever sends it learns that it cannot be sent.
func (p *socket) encode(m wamp.Message) (wamp.Message, error) {
	list, err := toList(m)
	if err != nil {
		return nil, err
	}
	data, err := p.serializer.encode(list)
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "the payload cannot be written")
	}
	if len(data) > maxMessage {
		return nil, errs.E(wire.Exhausted, "the payload is larger than a message may be: %d bytes, at most %d", len(data), maxMessage)
	}
	return encoded{m, data}, nil
}

func (p *socket) writeMessage(m wamp.Message) error {
	ready, ok := m.(encoded)
	if !ok {
		written, err := p.encode(m)
		if err != nil {
			return err
		}
		ready, _ = written.(encoded)
	}
	kind := websocket.TextMessage
	if p.serializer.binary() {
		kind = websocket.BinaryMessage
	}
	return p.conn.WriteMessage(kind, ready.data)
}
