package router

import (
	"runtime"

	"bulkhead/router/message"
)

// challenge asks a peer for a proof and waits for it. The link's time to join bounds that.
func challenge(e endpoint, c *message.Challenge) (*message.Authenticate, error) {
	outbox := e.Outbox()
	if err := e.SendIn(&outbox, c); err != nil {
		return nil, err
	}
	outbox.Flush()
	runtime.Gosched() // as others go on the answer comes: to wait for it costs more
	reply, err := e.Receive()
	if err != nil {
		return nil, err
	}
	switch reply := reply.(type) {
	case *message.Authenticate:
		return reply, nil
	case *message.Abort:
		return nil, errLeft
	default:
		return nil, violation(reply.Code().String() + " came in the place of AUTHENTICATE")
	}
}
