package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/gammazero/nexus/v3/wamp/crsign"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func hello(realm, authid string) *message.Hello {
	features := func(names ...string) message.Dict {
		f := message.Dict{}
		for _, n := range names {
			f[n] = true
		}
		return message.Dict{"features": f}
	}
	return &message.Hello{Realm: realm, Details: message.Dict{
		"authid": authid, "authmethods": []any{"wampcra"},
		"roles": message.Dict{
			"publisher": message.Dict{}, "subscriber": message.Dict{},
			"caller": features("call_canceling", "progressive_call_results"),
			"callee": features("call_canceling", "progressive_call_results"),
		},
	}}
}

// signed answers a challenge with a device's secret.
func signed(c *message.Challenge, d realms.Device) *message.Authenticate {
	text, _ := c.Extra["challenge"].(string)
	return &message.Authenticate{Signature: crsign.SignChallenge(text, d.Secrets[0].Reveal()), Extra: message.Dict{}}
}

// join opens a WebSocket and joins a device to its tenant's realm.
func (c *child) join(ctx context.Context, rng *rand.Rand, tenant int, d realms.Device) (*stranger, error) {
	s, err := c.open(ctx, rng)
	if err != nil {
		return nil, err
	}
	if err := s.login(realmOf(tenant).Name(), d); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stranger) login(realm string, d realms.Device) error {
	if err := s.send(hello(realm, string(d.Serial))); err != nil {
		return unmet(err)
	}
	for {
		m, err := s.next()
		if err != nil {
			return unmet(err)
		}
		switch m := m.(type) {
		case *message.Challenge:
			err = s.send(signed(m, d))
		case *message.Welcome:
			s.session, s.who = m.Session, d
			return nil
		case *message.Abort:
			err = errors.New(m.Reason)
		default:
			return fmt.Errorf("got %s instead of WELCOME", m.Code())
		}
		if err != nil {
			return unmet(err)
		}
	}
}

// member joins a random misbehaving device of a random tenant.
func (c *child) member(ctx context.Context, rng *rand.Rand) (*stranger, error) {
	tenant := rng.IntN(tenants)
	return c.join(ctx, rng, tenant, device(tenant, honestDevices+rng.IntN(rogueDevices)))
}

// pair joins two misbehaving devices of one tenant.
func (c *child) pair(ctx context.Context, rng *rand.Rand) (a, b *stranger, err error) {
	tenant := rng.IntN(tenants)
	pick := func() (*stranger, error) {
		return c.join(ctx, rng, tenant, device(tenant, honestDevices+rng.IntN(rogueDevices)))
	}
	if a, err = pick(); err != nil {
		return nil, nil, err
	}
	if b, err = pick(); err != nil {
		a.close()
		return nil, nil, err
	}
	return a, b, nil
}

func (s *stranger) id() message.ID {
	s.request++
	return s.request
}

// untilGone reads until the router ends the connection, in whatever way, and gives the reason of an ABORT or GOODBYE. That the
// router does not end it in time is an error.
func (s *stranger) untilGone(within time.Duration) (reason string, err error) {
	_ = s.tcp.SetDeadline(time.Now().Add(within))
	for {
		m, err := s.next()
		switch m := m.(type) {
		case *message.Abort:
			reason = m.Reason
		case *message.Goodbye:
			reason = m.Reason
		}
		if err != nil {
			return reason, onlyLate(err, within)
		}
	}
}

// onlyLate forgives every end but none.
func onlyLate(err error, within time.Duration) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the router did not end the connection within %v", within)
	}
	return nil
}

// untilClosed is untilGone for what is no WebSocket.
func untilClosed(c net.Conn, within time.Duration) error {
	_ = c.SetDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, c)
	return onlyLate(err, within)
}

// await reads until a message that ok likes.
func await[M message.Message](s *stranger, ok func(M) bool) (M, error) {
	for {
		m, err := s.next()
		if err != nil {
			return *new(M), fmt.Errorf("waiting for %T: %w", *new(M), err)
		}
		if got, is := m.(M); is && ok(got) {
			return got, nil
		}
	}
}
