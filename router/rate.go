package router

import (
	"time"

	"bulkhead/internal/errs"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// Rate bounds what one session may send, on average; it may send two seconds' worth at once. Zero is no bound.
type Rate struct {
	Messages int // a second
	Bytes    int // of payload a second
}

// burst is how many seconds' worth may be sent at once.
const burst = 2

// bucket is a token bucket for messages and one for bytes. A nil bucket allows all. It is used by one goroutine.
type bucket struct {
	rate            Rate
	messages, bytes float64
	last            time.Time
}

func newBucket(r Rate, now time.Time) *bucket {
	if r == (Rate{}) {
		return nil
	}
	return &bucket{rate: r, messages: float64(burst * r.Messages), bytes: float64(burst * r.Bytes), last: now}
}

// allow takes a message's share, or reports that there is not enough left. Answers to the router are always allowed: others
// wait for them.
func (b *bucket) allow(m message.Message) bool {
	if b == nil {
		return true
	}
	return b.take(size(m), time.Now()) || !refusable(m)
}

func (b *bucket) take(bytes int, now time.Time) bool {
	passed := now.Sub(b.last).Seconds()
	b.last = now
	refill(&b.messages, b.rate.Messages, passed)
	refill(&b.bytes, b.rate.Bytes, passed)
	if b.rate.Messages > 0 && b.messages < 1 || b.rate.Bytes > 0 && b.bytes <= 0 {
		return false
	}
	b.messages--
	b.bytes -= float64(bytes) // a large message may go into debt
	return true
}

func refill(tokens *float64, rate int, seconds float64) {
	*tokens = min(*tokens+seconds*float64(rate), float64(burst*rate))
}

// size is the number of bytes of a message's payload.
func size(m message.Message) int { return payload(m).Size() }

// payload is a message's payload; the zero Payload where it can have none.
func payload(m message.Message) message.Payload {
	switch m := m.(type) {
	case *message.Publish:
		return m.Payload
	case *message.Event:
		return m.Payload
	case *message.Call:
		return m.Payload
	case *message.Invocation:
		return m.Payload
	case *message.Yield:
		return m.Payload
	case *message.Result:
		return m.Payload
	case *message.Error:
		return m.Payload
	default:
		return message.Payload{}
	}
}

func refusable(m message.Message) bool {
	_, _, ok := requestOf(m)
	return ok
}

// requestOf gives the id of a message that asks for something, and whether an answer is expected.
func requestOf(m message.Message) (id message.ID, answered, ok bool) {
	switch m := m.(type) {
	case *message.Publish:
		return m.Request, m.Options.Acknowledge, true
	case *message.Call:
		return m.Request, true, true
	case *message.Subscribe:
		return m.Request, true, true
	case *message.Register:
		return m.Request, true, true
	case *message.Unsubscribe:
		return m.Request, true, true
	case *message.Unregister:
		return m.Request, true, true
	default:
		return 0, false, false
	}
}

// refuse tells a member that it sends too much.
func (re *realm) refuse(m *member, msg message.Message) error {
	re.class.limited.Add(1)
	id, answered, _ := requestOf(msg)
	if !answered {
		return nil
	}
	err := errs.E(wire.Exhausted, "more messages or bytes a second than this session may send")
	return m.end.Send(failure(msg.Code(), id, err))
}
