// Package transport carries WAMP messages between sockets and the router: WebSocket, and rawsocket over TLS.
//
// It promises that a peer which has not joined holds a connection for at most 5 s and makes the server keep at most 16 KiB
// of it; that queueing a message never blocks, whatever its receiver does; that what is queued is bounded in bytes, and
// what does not fit is either refused or makes room by dropping the oldest events, with a notice of how many; that what was
// queued before an orderly close is written before it, within a bounded time; that everything that is queued leaves in as
// few system calls as possible, without a timer; that a message for many receivers is encoded once per serializer and
// framing; and that a closed link's goroutines have ended when Done is closed.
//
// Source: RFC 6455; the WAMP specification, "Transports".
package transport

import (
	"errors"
	"fmt"
	"time"

	"bulkhead/router/message"
)

// Limits bound what one peer may take. A zero field means its default.
type Limits struct {
	// Handshake is the time from the TCP accept to WELCOME. Default 5 s.
	Handshake time.Duration
	// TLSHandshake is the time for the TLS handshake, and then for the request's headers. Default 2 s.
	TLSHandshake time.Duration
	// FirstMessage is the largest message in bytes before WELCOME. Default 16 KiB.
	FirstMessage int
	// Message is the largest message in bytes after WELCOME. Default 16 MiB.
	Message int
	// Queue is how many bytes may wait to be written to one peer; one message more than that may begin to wait. Default 8 MiB.
	Queue int
	// RealmBytes is how many bytes the links of one realm may hold together: queued for slow peers, or of large messages that
	// are not whole yet. Over it, links that hold more than 64 KiB are treated as if their queue were full. Default 256 MiB.
	RealmBytes int
	// AuthIDBytes is the same for the links of one authid with one role in a realm. Default 64 MiB.
	AuthIDBytes int
	// PingEvery is how long a peer may be silent before it is sent a ping; after a second ping without a sign of life it is
	// given up. Default 20 s.
	PingEvery time.Duration
	// Write is how long one write may take. Default 10 s.
	Write time.Duration
	// Linger is how long an orderly close that this side began may take. Default 700 ms.
	Linger time.Duration
}

// WithDefaults gives the limits with every zero replaced.
func (l Limits) WithDefaults() Limits {
	orDuration(&l.Handshake, 5*time.Second)
	orDuration(&l.TLSHandshake, 2*time.Second)
	orInt(&l.FirstMessage, 16<<10)
	orInt(&l.Message, 16<<20)
	orInt(&l.Queue, 8<<20)
	orInt(&l.RealmBytes, 256<<20)
	orInt(&l.AuthIDBytes, 64<<20)
	orDuration(&l.PingEvery, 20*time.Second)
	orDuration(&l.Write, 10*time.Second)
	orDuration(&l.Linger, 700*time.Millisecond)
	return l
}

func orDuration(v *time.Duration, otherwise time.Duration) {
	if *v <= 0 {
		*v = otherwise
	}
}

func orInt(v *int, otherwise int) {
	if *v <= 0 {
		*v = otherwise
	}
}

// Policy says what becomes of a peer that does not keep up with its events.
type Policy uint8

// The policies. Calls, results and replies are never dropped: a peer that cannot take one is closed under either.
const (
	// CloseSlow ends the session with wamp.close.backpressure.
	CloseSlow Policy = iota
	// DropOldest drops the oldest events that wait, and tells with the next one how many.
	DropOldest
)

// ErrClosed is returned for a link that is closing or closed.
var ErrClosed = errors.New("transport: link is closed")

// ErrFull is returned for a link whose queue is full.
var ErrFull = errors.New("transport: queue is full")

// ErrTooLarge is returned for a message that is larger than the peer takes.
var ErrTooLarge = errors.New("transport: the peer takes no message of this size")

// violation is a fault of the peer's that ends its session.
func violation(text string, args ...any) error {
	return &message.ProtocolError{Reason: fmt.Sprintf(text, args...)}
}
