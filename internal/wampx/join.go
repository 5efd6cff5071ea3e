package wampx

import (
	"context"
	"fmt"

	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gammazero/nexus/v3/wamp/crsign"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// FromPeer joins a realm over a peer that is connected already, such as one inside the router's process, and needs no
// proof. The session owns the peer from then on, also where FromPeer fails.
func FromPeer(ctx context.Context, peer wamp.Peer, realm string, o Options) (*Session, error) {
	welcome, err := join(ctx, peer, realm, credential{})
	if err != nil {
		peer.Close()
		return nil, errs.Wrap("join "+realm, err)
	}
	return newSession(peer, realm, welcome, o), nil
}

// credential is what proves who joins; the zero credential proves nothing.
type credential struct {
	authID string
	secret secret.Value // WAMP-CRA
	ticket secret.Value
}

func (c credential) methods() []any {
	var methods []any
	if !c.secret.IsZero() {
		methods = append(methods, "wampcra")
	}
	if !c.ticket.IsZero() {
		methods = append(methods, "ticket")
	}
	return methods
}

// sign answers a challenge.
func (c credential) sign(ch *wamp.Challenge) (string, error) {
	switch {
	case ch.AuthMethod == "wampcra" && !c.secret.IsZero():
		return crsign.RespondChallenge(string(c.secret.Reveal()), ch, nil), nil
	case ch.AuthMethod == "ticket" && !c.ticket.IsZero():
		return string(c.ticket.Reveal()), nil
	default:
		return "", fmt.Errorf("the router asks for %q, which was not offered", ch.AuthMethod)
	}
}

var roles = map[string]any{
	"publisher":  features("publisher_exclusion", "publisher_identification", "subscriber_blackwhite_listing"),
	"subscriber": features("pattern_based_subscription", "publisher_identification"),
	"caller":     features("call_canceling", "call_timeout", "caller_identification", "progressive_call_results"),
	"callee": features("call_canceling", "call_timeout", "caller_identification", "pattern_based_registration",
		"progressive_call_results", "shared_registration"),
}

func features(names ...string) map[string]any {
	f := map[string]any{}
	for _, n := range names {
		f[n] = true
	}
	return map[string]any{"features": f}
}

// join says HELLO and proves who joins, until WELCOME.
func join(ctx context.Context, peer wamp.Peer, realm string, c credential) (*wamp.Welcome, error) {
	details := wamp.Dict{"roles": plainDict(roles), "agent": "bulkhead"}
	if c.authID != "" {
		details["authid"] = c.authID
	}
	if methods := c.methods(); methods != nil {
		details["authmethods"] = methods
	}
	if err := hand(ctx, peer, &wamp.Hello{Realm: wamp.URI(realm), Details: details}); err != nil {
		return nil, err
	}
	challenged := false
	for {
		m, err := next(ctx, peer)
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *wamp.Welcome:
			return m, nil
		case *wamp.Abort:
			return nil, refused(m.Reason, m.Details)
		case *wamp.Challenge:
			if challenged {
				return nil, protocolViolation(m)
			}
			challenged = true
			signature, err := c.sign(m)
			if err != nil {
				return nil, errs.As(wire.Unauthenticated, err, "the router asks for another proof")
			}
			if err := hand(ctx, peer, &wamp.Authenticate{Signature: signature, Extra: wamp.Dict{}}); err != nil {
				return nil, err
			}
		default:
			return nil, protocolViolation(m)
		}
	}
}

func hand(ctx context.Context, peer wamp.Peer, m wamp.Message) error {
	select {
	case peer.Send() <- m:
		return nil
	case <-ctx.Done():
		return errs.As(wire.Unavailable, ctx.Err(), "the router does not answer")
	}
}

func next(ctx context.Context, peer wamp.Peer) (wamp.Message, error) {
	select {
	case m, open := <-peer.Recv():
		if !open {
			return nil, lost(peer)
		}
		return m, nil
	case <-ctx.Done():
		return nil, errs.As(wire.Unavailable, ctx.Err(), "the router does not answer")
	}
}
