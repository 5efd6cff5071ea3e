// Package floor is the least that a router can cost: it copies one encoded frame to every subscriber with gathered writes
// and does nothing else. There are no realms, no rules and one topic.
//
// It promises to speak enough WAMP that the load generator cannot tell it from a router, and to do no work that a router
// could avoid.
package floor

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/gorilla/websocket"

	"bulkhead/test/peers/internal/frame"
)

// The WAMP codes that the floor knows.
const (
	hello      = 1
	welcome    = 2
	publish    = 16
	published  = 17
	subscribe  = 32
	subscribed = 33
	event      = 36
	call       = 48
	result     = 50
	register   = 64
	registered = 65
	invocation = 68
	yield      = 70
)

// Hub has the one topic's subscribers and the one procedure's callees. Use New.
type Hub struct {
	welcome [frame.Serializers][]byte
	head    [frame.Serializers][]byte // an event's bytes before and after its payload
	tail    [frame.Serializers][]byte
	result  [frame.Serializers]*frame.Template
	invoke  [frame.Serializers]*frame.Template

	mu          sync.Mutex // guards what follows
	subscribers []*connection
	callees     []*connection
	calls       map[uint64]pendingCall // by the id of the invocation
	invocations uint64
}

// pendingCall is who waits for a result, under which id.
type pendingCall struct {
	caller *connection
	id     uint64
}

// New makes a hub without subscribers.
func New() (*Hub, error) {
	h := &Hub{calls: map[uint64]pendingCall{}}
	for s := range frame.Serializer(frame.Serializers) {
		w, err := s.Marshal(welcome, 1, map[string]any{"roles": map[string]any{"broker": map[string]any{}}})
		if err != nil {
			return nil, fmt.Errorf("welcome: %w", err)
		}
		h.welcome[s] = frame.AppendServer(nil, s.Op(), w)
		if h.head[s], h.tail[s], err = frame.Around(s, event, 1, 1, map[string]any{}); err != nil {
			return nil, err
		}
		if h.result[s], err = frame.NewTemplate(s, result, map[string]any{}, frame.Payload); err != nil {
			return nil, err
		}
		if h.invoke[s], err = frame.NewTemplate(s, invocation, 1, map[string]any{}, frame.Payload); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// ServeHTTP upgrades a connection and serves it until it ends.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: subprotocols()}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer ws.Close()
	s, ok := frame.FromSubprotocol(ws.Subprotocol())
	if !ok {
		return
	}
	h.serve(ws, s)
}

func subprotocols() (names []string) {
	for s := range frame.Serializer(frame.Serializers) {
		names = append(names, s.Subprotocol())
	}
	return names
}

// serve answers one connection's messages until it ends, then waits for its writer.
func (h *Hub) serve(ws *websocket.Conn, s frame.Serializer) {
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

func (h *Hub) answer(c *connection, message []byte) error {
	head, err := c.s.ParseHead(message)
	if err != nil {
		return err
	}
	switch head.Code {
	case hello:
		c.queue(h.welcome[c.s])
	case subscribe:
		h.add(&h.subscribers, c)
		c.acknowledge(subscribed, head.IDs[0])
	case publish:
		h.publish(c, message)
		c.acknowledge(published, head.IDs[0])
	case register:
		h.add(&h.callees, c)
		c.acknowledge(registered, head.IDs[0])
	case call:
		return h.call(c, head.IDs[0], message)
	case yield:
		return h.yield(c.s, head.IDs[0], message)
	default:
		return fmt.Errorf("message %d is beyond the floor", head.Code)
	}
	return nil
}

// publish encodes the event once for each serializer that a subscriber speaks, and copies it to all.
func (h *Hub) publish(from *connection, message []byte) {
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

// call hands a call to the next callee, whatever its procedure.
func (h *Hub) call(from *connection, id uint64, message []byte) error {
	payload, ok := from.s.FindPayload(message)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !ok || len(h.callees) == 0 {
		return fmt.Errorf("call %d: nobody to call, or nothing to hand over", id)
	}
	h.invocations++
	h.calls[h.invocations] = pendingCall{from, id}
	callee := h.callees[h.invocations%uint64(len(h.callees))]
	callee.queue(h.invoke[callee.s].AppendServer(nil, h.invocations, payload))
	return nil
}

func (h *Hub) yield(s frame.Serializer, invocation uint64, message []byte) error {
	payload, ok := s.FindPayload(message)
	h.mu.Lock()
	defer h.mu.Unlock()
	waiting, known := h.calls[invocation]
	if !ok || !known {
		return fmt.Errorf("yield %d: nobody waits for it, or it has nothing", invocation)
	}
	delete(h.calls, invocation)
	waiting.caller.queue(h.result[waiting.caller.s].AppendServer(nil, waiting.id, payload))
	return nil
}

func (h *Hub) add(list *[]*connection, c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*list = append(*list, c)
}

func (h *Hub) drop(c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	is := func(other *connection) bool { return other == c }
	h.subscribers = slices.DeleteFunc(h.subscribers, is)
	h.callees = slices.DeleteFunc(h.callees, is)
}
