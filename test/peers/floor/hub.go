package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/gorilla/websocket"

	"bulkhead/test/peers/internal/frame"
)

// The WAMP codes that the floor answers.
const (
	hello      = 1
	welcome    = 2
	publish    = 16
	published  = 17
	subscribe  = 32
	subscribed = 33
	event      = 36
)

// hub has the one topic's subscribers.
type hub struct {
	welcome [frame.Serializers][]byte
	head    [frame.Serializers][]byte // an event's bytes before and after its payload
	tail    [frame.Serializers][]byte

	mu          sync.Mutex // guards subscribers
	subscribers []*connection
}

func newHub() (*hub, error) {
	h := &hub{}
	for s := range frame.Serializer(frame.Serializers) {
		w, err := s.Marshal(welcome, 1, map[string]any{"roles": map[string]any{"broker": map[string]any{}}})
		if err != nil {
			return nil, fmt.Errorf("welcome: %w", err)
		}
		h.welcome[s] = frame.AppendServer(nil, s.Op(), w)
		if h.head[s], h.tail[s], err = frame.Around(s, event, 1, 1, map[string]any{}); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// serve answers one connection's messages until it ends, then waits for its writer.
func (h *hub) serve(ws *websocket.Conn, s frame.Serializer) {
	c := newConnection(ws.NetConn(), s)
	var writing sync.WaitGroup
	writing.Go(c.write)
	defer func() {
		h.drop(c)
		c.close()
		_ = ws.NetConn().Close() // a writer that is stuck ends now
		writing.Wait()
	}()
	var buf []byte
	for {
		_, r, err := ws.NextReader()
		if err != nil {
			return
		}
		if buf, err = readInto(buf, r); err != nil || h.answer(c, buf) != nil {
			return
		}
	}
}

// readInto reads a message into a buffer that is kept.
func readInto(buf []byte, r io.Reader) ([]byte, error) {
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, 512)...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

func (h *hub) answer(c *connection, message []byte) error {
	head, err := c.s.ParseHead(message)
	if err != nil {
		return err
	}
	switch head.Code {
	case hello:
		c.queue(h.welcome[c.s])
	case subscribe:
		h.add(c)
		c.queue(frame.AppendServer(nil, c.s.Op(), frame.AppendHead(nil, c.s, subscribed, head.IDs[0], 1)))
	case publish:
		h.publish(c, message)
		c.queue(frame.AppendServer(nil, c.s.Op(), frame.AppendHead(nil, c.s, published, head.IDs[0], 1)))
	default:
		return fmt.Errorf("message %d is beyond the floor", head.Code)
	}
	return nil
}

// publish encodes the event once for each serializer that a subscriber speaks, and copies it to all.
func (h *hub) publish(from *connection, message []byte) {
	payload, ok := from.s.FindPayload(message)
	if !ok {
		return
	}
	var encoded [frame.Serializers][]byte
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.subscribers {
		if encoded[c.s] == nil {
			body := append(append(append([]byte{}, h.head[c.s]...), payload...), h.tail[c.s]...)
			encoded[c.s] = frame.AppendServer(nil, c.s.Op(), body)
		}
		c.queue(encoded[c.s])
	}
}

func (h *hub) add(c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subscribers = append(h.subscribers, c)
}

func (h *hub) drop(c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, other := range h.subscribers {
		if other == c {
			h.subscribers = append(h.subscribers[:i], h.subscribers[i+1:]...)
			return
		}
	}
}
