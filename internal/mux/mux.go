// Package mux carries many streams over one WebSocket, for tunnels.
//
// It promises that a stream's end comes through in each direction on its own; that one stream which nobody reads does not
// hold up the others; that who types does not wait behind who copies; that a peer which is silent is noticed at both sides;
// that what a peer may make this side keep is bounded, and one that breaks the protocol is left; and that the end of a
// session ends all of its streams.
//
// # What is spoken
//
// A binary message holds whole frames. A frame is its kind in one byte, the length of what follows in three, a stream's
// number in four, then data or a number of eight bytes; all of it big-endian. The side that dialled as a user, or asks a
// device, opens streams with odd numbers, the other with even ones, each time a higher one.
//
//	1 open    a stream begins; each side may send 256 KiB of it at first
//	2 data    1 to 16346 bytes of a stream
//	3 end     no more comes in this direction
//	4 reset   the stream is broken off in both, or refused
//	5 credit  so many more bytes of a stream may be sent
//	6 mark    of the session: say when this has come
//	7 seen    it has: the number of the mark, in the order of the marks
//	8 bye     of the session: it is over
//
// A frame for a stream that has ended here is dropped, as far as the other side had credit for it. Data beyond the credit,
// after an end or for a stream that never was, a number that is used again, an answer to no mark, a kind or length that is
// not above, and questions without reading the answers end the session.
//
// # Who goes first
//
// Frames without data do; then streams that say little, which is their first 64 KiB and 16 KiB per second thereafter; then
// the others in turns of 16 KiB, on a fast line 64 KiB. So that this order means something, little may wait behind it: a session has no more under
// way than its line carries in a round trip and 20 ms, which it measures by its marks, and asks the kernel to keep no more than
// 64 KiB unsent. The others wait while the kernel's BBR looks how long the way is. The window of a stream doubles when half of
// it is used in less than four round trips.
//
// In a session that says nothing for Config.Ping with streams open, or twice that without, a mark is sent; one that is
// silent for twice as long is over. A stream whose user has closed it waits 5 minutes for the end of the other side.
package mux

import (
	"context"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// Stream is one of many connections.
type Stream interface {
	net.Conn
	// CloseWrite tells the other end that no more comes from this one; reading goes on.
	CloseWrite() error
	// Reset breaks both directions off.
	Reset() error
}

// Session is many streams over one connection.
type Session interface {
	Open(ctx context.Context) (Stream, error)
	// Accept waits for a stream that the other side opens. Its error is why the session is over.
	Accept() (Stream, error)
	// Close ends the session and its streams, and waits until its connection is closed. Closing twice is fine.
	Close()
	Done() <-chan struct{}
}

// Config bounds a session. All of it is required but Ping and Upgraded.
type Config struct {
	// Streams is the most that the other side may have open; 0: it opens none.
	Streams int
	// Window is the most of one stream that this side keeps unread; Budget is the most of all streams beyond the first
	// 256 KiB of each.
	Window, Budget int
	// Upgraded says that this side has accepted the WebSocket: the side that dialled masks what it sends.
	Upgraded bool
	// Ping is how long the other side may say nothing before it is asked: after twice that in silence the session is over.
	// Default 10 s.
	Ping time.Duration
}

const defaultPing = 10 * time.Second

// Buffer is the size of the read buffer that a WebSocket below a session should have. Heads are read through it; what is
// larger comes past it, without being copied once more.
const Buffer = 512

// Client makes the session of the side that dialled as a user, or that asks a device.
func Client(ws *websocket.Conn, c Config) (Session, error) { return newSession(ws, c, true), nil }

// Server makes the session of the other side.
func Server(ws *websocket.Conn, c Config) (Session, error) { return newSession(ws, c, false), nil }
