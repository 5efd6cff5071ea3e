package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"bulkhead/router/message"
)

// What strangers may cost in time before the join: 5 s, and what a busy machine adds.
const strangerBound = 20 * time.Second

func (d *den) mute(ctx context.Context, rng *rand.Rand) error {
	s, err := d.dial(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	return untilClosed(s.tcp, strangerBound)
}

// deaf writes what the client says first and swallows the rest.
type deaf struct {
	net.Conn
	writes int
}

func (c *deaf) Write(b []byte) (int, error) {
	if c.writes++; c.writes > 1 {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (d *den) halfTLS(ctx context.Context, rng *rand.Rand) error {
	s, err := d.dial(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	if rng.IntN(2) == 0 {
		_, _ = s.tcp.Write([]byte{22, 3, 1, 2, 0, 1, 0}) // the head of a record, and less than it announces
	} else {
		_ = tls.Client(&deaf{Conn: s.tcp}, &tls.Config{RootCAs: d.roots, ServerName: "localhost"}).Handshake() //nolint:gosec // see secure
	}
	return untilClosed(s.tcp, strangerBound)
}

func (d *den) halfUpgrade(ctx context.Context, rng *rand.Rand) error {
	s, err := d.dial(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.secure(d.child); err != nil {
		return err
	}
	request := s.upgradeRequest()
	if _, err := io.WriteString(s.conn, request[:rng.IntN(len(request)-2)]); err != nil {
		return unmet(err)
	}
	return untilClosed(s.conn, strangerBound)
}

func (d *den) halfLogin(ctx context.Context, rng *rand.Rand) error {
	s, err := d.open(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	if rng.IntN(2) == 0 {
		_ = s.send(hello(realmOf(0).Name(), string(device(0, honestDevices).Serial))) // and no answer to the challenge
	}
	return d.cutOff(s, strangerBound)
}

// cutOff wants the connection to end, for a reason or none.
func (d *den) cutOff(s *stranger, within time.Duration) error {
	reason, err := s.untilGone(within)
	if err == nil {
		d.ledger.ended(reason)
	}
	return err
}

// abortedFor wants the connection to end for the reason; none is fine where a reset overtook it.
func (d *den) abortedFor(s *stranger, want ...string) error {
	reason, err := s.untilGone(patience)
	if err != nil {
		return err
	}
	d.ledger.ended(reason)
	for _, w := range append(want, "") {
		if reason == w {
			return nil
		}
	}
	return fmt.Errorf("ended with %s instead of %s", reason, want)
}

const violation = message.ViolationURI

func (d *den) garbageBefore(ctx context.Context, rng *rand.Rand) error {
	s, err := d.open(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	return d.garbage(s, rng)
}

// garbage sends bytes that are no frame, or a frame that is no message.
func (d *den) garbage(s *stranger, rng *rand.Rand) error {
	data := make([]byte, 1+rng.IntN(2000))
	for i := range data {
		data[i] = byte(rng.Uint32()) //nolint:gosec // the low byte
	}
	if rng.IntN(3) == 0 {
		_, _ = s.conn.Write(append([]byte{0xf7}, data...)) // reserved bits and opcode
	} else {
		data[0] |= 0xc0 | data[0] // no list of a few values in any of the serializers
		_ = s.frame(data)
	}
	return d.abortedFor(s, violation)
}

func (d *den) largeBefore(ctx context.Context, rng *rand.Rand) error {
	s, err := d.open(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	_ = s.frame(make([]byte, 1<<20))
	return d.abortedFor(s, violation)
}

func (d *den) wrongProof(ctx context.Context, rng *rand.Rand) error {
	s, err := d.open(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	liar, realm := device(0, honestDevices+rng.IntN(rogueDevices)), realmOf(0).Name()
	switch rng.IntN(4) {
	case 0:
		liar.Secrets = device(0, 0).Secrets // another's
	case 1:
		liar.Serial = "11111111-1111-4111-8111-111111111111" // nobody's
	case 2:
		realm = realmOf(1).Name() // another tenant's
	default:
		realm = "realm-5-5-prod" // no realm
	}
	err = s.login(realm, liar)
	if err == nil {
		return errors.New("was let in")
	}
	if !errors.Is(err, errUnmet) {
		return err
	}
	return d.cutOff(s, patience)
}
