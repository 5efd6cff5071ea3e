// Package load drives a WAMP router over WebSocket from one process and counts what comes back.
//
// It promises to spend little itself: messages are encoded once, several go out in one write, and what arrives is looked
// at no further than a counter needs; to count what does not arrive, rather than to wait for it for ever; and that Close
// ends every connection and goroutine.
package load

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/scene"
)

// joinTimeout bounds a join from the first packet to WELCOME.
const joinTimeout = 20 * time.Second

// The WAMP codes that a generator meets.
const (
	codeHello        = 1
	codeWelcome      = 2
	codeChallenge    = 4
	codeAuthenticate = 5
	codeError        = 8
	codePublish      = 16
	codePublished    = 17
	codeSubscribe    = 32
	codeSubscribed   = 33
	codeEvent        = 36
	codeCall         = 48
	codeResult       = 50
	codeRegister     = 64
	codeRegistered   = 65
	codeInvocation   = 68
	codeYield        = 70
)

// Target is where a router listens; TLS is nil where it does so without.
type Target struct {
	Addr string
	TLS  *tls.Config
}

// Login says who joins which realm and how. The zero Device is anonymous; n is the n-1st of the scene's devices.
type Login struct {
	Realm      string
	Serializer frame.Serializer
	Device     int
	Source     net.IP // the address to dial from; nil for any
	Buffer     int    // bytes that one read can take
	Blocking   bool   // read and write by blocking system calls; see blocking.go
}

// Session is one joined session. It is used by one goroutine at a time.
type Session struct {
	ID uint64

	conn    net.Conn
	scan    *frame.Scanner
	s       frame.Serializer
	out     []byte
	request uint64 // the last request id
}

// Join connects, upgrades and joins.
func Join(ctx context.Context, t Target, l Login) (*Session, error) {
	conn, err := dial(ctx, t, l)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	s := &Session{conn: conn, s: l.Serializer, scan: frame.NewScanner(conn, max(l.Buffer, 512))}
	if err := s.open(l); err != nil {
		s.Close()
		return nil, fmt.Errorf("join %s: %w", l.Realm, err)
	}
	return s, nil
}

func dial(ctx context.Context, t Target, l Login) (net.Conn, error) {
	dialer := net.Dialer{Timeout: joinTimeout}
	if l.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: l.Source}
	}
	conn, err := dialer.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	if l.Blocking {
		if conn, err = makeBlocking(conn.(*net.TCPConn)); err != nil {
			return nil, err
		}
	}
	if t.TLS != nil {
		conn = tls.Client(conn, t.TLS)
	}
	return conn, nil
}

func (s *Session) open(l Login) error {
	if err := s.conn.SetDeadline(time.Now().Add(joinTimeout)); err != nil {
		return err
	}
	if err := s.upgrade(); err != nil {
		return err
	}
	if err := s.hello(l); err != nil {
		return err
	}
	return s.conn.SetDeadline(time.Time{})
}

// The key is constant, and so is what a server must answer to it (RFC 6455, section 1.3).
const (
	upgradeKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	upgradeAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

func (s *Session) upgrade() error {
	request := fmt.Sprintf("GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n", upgradeKey, s.s.Subprotocol())
	if _, err := s.conn.Write([]byte(request)); err != nil {
		return err
	}
	answer := make([]byte, 0, 512)
	for !bytes.HasSuffix(answer, []byte("\r\n\r\n")) {
		if len(answer) == cap(answer) {
			return fmt.Errorf("upgrade: the answer is long: %q", answer)
		}
		n, err := s.conn.Read(answer[len(answer):cap(answer)])
		if err != nil {
			return fmt.Errorf("upgrade: %w", err)
		}
		answer = answer[:len(answer)+n]
	}
	if !bytes.Contains(answer, []byte(upgradeAccept)) || !bytes.Contains(answer, []byte(s.s.Subprotocol())) {
		return fmt.Errorf("upgrade was refused: %q", answer)
	}
	return nil
}

func (s *Session) hello(l Login) error {
	none := map[string]any{}
	details := map[string]any{
		"roles":       map[string]any{"publisher": none, "subscriber": none, "caller": none, "callee": none},
		"authmethods": []string{"anonymous"},
	}
	if l.Device > 0 {
		details["authmethods"], details["authid"] = []string{"wampcra"}, scene.Serial(l.Device-1)
	}
	if err := s.Send(codeHello, l.Realm, details); err != nil {
		return err
	}
	h, message, err := s.Receive()
	if err == nil && h.Code == codeChallenge {
		if err = s.prove(message, scene.Secret(l.Device-1)); err == nil {
			h, message, err = s.Receive()
		}
	}
	if err == nil && h.Code != codeWelcome {
		err = fmt.Errorf("refused: %.200q", message)
	}
	s.ID = h.IDs[0]
	return err
}

func (s *Session) prove(challenge []byte, secret string) error {
	message, err := s.s.Unmarshal(challenge)
	if err != nil || len(message) < 3 {
		return errors.Join(errors.New("challenge"), err)
	}
	text, err := challengeText(message[2])
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return s.Send(codeAuthenticate, base64.StdEncoding.EncodeToString(mac.Sum(nil)), map[string]any{})
}

func challengeText(extra any) (string, error) {
	var v any
	switch dict := extra.(type) {
	case map[string]any:
		v = dict["challenge"]
	case map[any]any:
		v = dict["challenge"]
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("challenge without a text: %v", extra)
	}
	return text, nil
}
