package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/wire"
)

const (
	// writeTimeout is how long a browser may take no byte of what it may be sent.
	writeTimeout = 20 * time.Second
	// linger is how long the last message may take.
	linger = 500 * time.Millisecond
	// largestText bounds text messages, of which the longest has a ticket.
	largestText = 1 << 10
	// largestSide bounds how many columns and rows there may be.
	largestSide = 2000
)

// page is the browser's end.
type page struct {
	ws      *websocket.Conn
	ping    time.Duration
	writing sync.Mutex // held while a message is written

	mu    sync.Mutex // guards what follows
	more  *sync.Cond // of it
	under int        // bytes that the browser has not taken yet
	gone  bool
}

func newPage(ws *websocket.Conn, ping time.Duration) *page {
	p := &page{ws: ws, ping: ping}
	p.more = sync.NewCond(&p.mu)
	ws.SetReadLimit(wire.TerminalLargest)
	ws.SetPongHandler(func(string) error { p.alive(); return nil })
	return p
}

// alive gives the browser until it has missed two pings.
func (p *page) alive() {
	_ = p.ws.SetReadDeadline(time.Now().Add(p.ping*5/2 + time.Second)) // it only fails where the connection has
}

var errProtocol = errors.New("terminal: a message that is not of the protocol")

// first reads what the page wants. It is the only message that may have a ticket.
func (p *page) first() (wire.TerminalMessage, error) {
	_ = p.ws.SetReadDeadline(time.Now().Add(firstWithin))
	m, typed, err := p.read()
	if err == nil && (typed != nil || m.Type != wire.TerminalOpen || m.Ticket == "" || !fits(m)) {
		err = errProtocol
	}
	p.alive()
	return m, err
}

// read reads one message: what was typed, or another.
func (p *page) read() (m wire.TerminalMessage, typed []byte, err error) {
	kind, data, err := p.ws.ReadMessage()
	switch {
	case err != nil:
		return m, nil, err
	case kind == websocket.BinaryMessage && len(data) > 0:
		return m, data, nil
	case kind != websocket.TextMessage || len(data) > largestText:
		return m, nil, errProtocol
	}
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	if in.Decode(&m) != nil || !errors.Is(in.Decode(new(any)), io.EOF) {
		return m, nil, errProtocol
	}
	return m, nil, nil
}

func fits(m wire.TerminalMessage) bool {
	return m.Cols > 0 && m.Cols <= largestSide && m.Rows > 0 && m.Rows <= largestSide
}

// show sends what the shell says, once the browser has room for it. It reports whether it was sent.
func (p *page) show(b []byte) bool {
	p.mu.Lock()
	for p.under > 0 && p.under+len(b) > wire.TerminalAhead && !p.gone {
		p.more.Wait()
	}
	p.under += len(b)
	gone := p.gone
	p.mu.Unlock()
	return !gone && p.write(websocket.BinaryMessage, b) == nil
}

// took notes that the browser has shown so many bytes. It cannot have shown more than it was sent.
func (p *page) took(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < 1 || n > p.under {
		return errProtocol
	}
	p.under -= n
	p.more.Broadcast()
	return nil
}

func (p *page) tell(m wire.TerminalMessage) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return p.write(websocket.TextMessage, text)
}

func (p *page) write(kind int, b []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = p.ws.SetWriteDeadline(time.Now().Add(writeTimeout)) // it only notes the time
	return p.ws.WriteMessage(kind, b)
}

// ask has the browser show that it is there; where it does not, the next read fails.
func (p *page) ask() { _ = p.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) }

// end tells the browser how it ended, if it takes that at once, and lets it go. What it still sends is read until it has
// gone, or the last message could be lost with it; by whoever reads until then, where gone is not nil.
func (p *page) end(e ending, gone <-chan struct{}) {
	patience := time.AfterFunc(linger, p.cut)
	defer patience.Stop()
	defer p.cut()
	if p.tell(wire.TerminalMessage{Type: wire.TerminalEnd, Reason: e.Reason, Code: e.Code, Text: e.Text}) != nil {
		return
	}
	_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(linger))
	if gone == nil {
		p.drain()
		return
	}
	<-gone
}

// drain reads until the browser has gone.
func (p *page) drain() {
	for {
		if _, _, err := p.ws.NextReader(); err != nil {
			return
		}
	}
}

// cut closes the connection. Whatever waits for the browser does not any more.
func (p *page) cut() {
	p.mu.Lock()
	p.gone = true
	p.more.Broadcast()
	p.mu.Unlock()
	_ = p.ws.Close()
}
