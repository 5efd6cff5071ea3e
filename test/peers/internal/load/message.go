package load

import (
	"errors"
	"fmt"
	"net"
	"time"

	"bulkhead/test/peers/internal/frame"
)

// errClosed is returned where the router closed the connection.
var errClosed = errors.New("the router closed the connection")

// Send sends one message.
func (s *Session) Send(message ...any) error {
	b, err := s.s.Marshal(message...)
	if err != nil {
		return err
	}
	s.out = frame.AppendClient(s.out[:0], s.s.Op(), b)
	_, err = s.conn.Write(s.out)
	return err
}

// Receive waits for one message.
func (s *Session) Receive() (h frame.Head, message []byte, err error) {
	for {
		op, payload, err := s.scan.Next()
		if err != nil {
			return h, nil, err
		}
		message, err := s.take(op, payload)
		if err != nil {
			return h, nil, err
		}
		if message != nil {
			h, err = s.s.ParseHead(message)
			return h, message, err
		}
	}
}

// each calls f with every message that was read already.
func (s *Session) each(f func(h frame.Head, message []byte) error) error {
	for {
		op, payload, ok, err := s.scan.Buffered()
		if err != nil || !ok {
			return err
		}
		message, err := s.take(op, payload)
		if err != nil {
			return err
		}
		if message == nil {
			continue
		}
		h, err := s.s.ParseHead(message)
		if err != nil {
			return err
		}
		if err := f(h, message); err != nil {
			return err
		}
	}
}

// take answers control frames and gives the message that the others carry.
func (s *Session) take(op byte, payload []byte) ([]byte, error) {
	switch op {
	case s.s.Op():
		return payload, nil
	case frame.OpPing:
		_, err := s.conn.Write(frame.AppendClient(nil, frame.OpPong, payload))
		return nil, err
	case frame.OpPong:
		return nil, nil
	case frame.OpClose:
		return nil, fmt.Errorf("%w: %q", errClosed, payload)
	default:
		return nil, fmt.Errorf("%w: opcode %d", frame.ErrFrame, op)
	}
}

// ask sends a request and waits for its answer, whose second id it gives: the subscription or the registration.
func (s *Session) ask(code, answer uint64, options map[string]any, uri string) (uint64, error) {
	s.request++
	if err := s.Send(code, s.request, options, uri); err != nil {
		return 0, err
	}
	h, message, err := s.Receive()
	if err == nil && h.Code != answer {
		err = fmt.Errorf("%s was refused: %.200q", uri, message)
	}
	return h.IDs[1], err
}

// Subscribe subscribes to a topic; match is "exact", "prefix" or "wildcard".
func (s *Session) Subscribe(topic, match string) error {
	_, err := s.ask(codeSubscribe, codeSubscribed, map[string]any{"match": match}, topic)
	return err
}

// Register registers a procedure.
func (s *Session) Register(procedure string) error {
	_, err := s.ask(codeRegister, codeRegistered, map[string]any{}, procedure)
	return err
}

// Close ends the connection without a farewell and leaves nothing behind in the kernel.
func (s *Session) Close() {
	under := s.conn
	if wrapped, ok := under.(interface{ NetConn() net.Conn }); ok {
		under = wrapped.NetConn()
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // saves the port from TIME_WAIT; the connection may be gone already
	}
	_ = under.Close()
}

// epoch is what stamps count from.
var epoch = time.Now()

func sinceEpoch() uint64 { return uint64(time.Since(epoch)) }
