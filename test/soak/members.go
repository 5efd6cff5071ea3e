package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"bulkhead/router/message"
)

func (d *den) garbageAfter(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	return d.garbage(s, rng)
}

// violations are messages that end the session, in JSON.
var violations = []string{
	`[1,"realm-1000-77-prod",{"roles":{"caller":{}}}]`, `[5,"x",{}]`, `[2,1,{}]`, `[99,1]`, `[]`, `{"a":1}`,
	`[16,0,{},"rogue.topic"]`, `[16,-1,{},"rogue.topic"]`, `[16,1.5,{},"rogue.topic"]`, `[16,1e300,{},"rogue.topic"]`,
	`[16,1,{},5]`, `[32,1,[],"rogue.topic"]`, `[32,1,{"match":"all"},"rogue.topic"]`, `[48,"1",{},"rogue.procedure"]`,
	`[17,1,1]`, `[36,1,1,{}]`, `[70]`, `[8,48,1,{},"e"]`, "[16,1,{},\"rogue.\xff\xfe\"]",
}

func (d *den) violate(ctx context.Context, rng *rand.Rand) error {
	s, err := d.dial(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	s.format = message.JSON
	if err := s.upgrade(d.child); err != nil {
		return err
	}
	if err := s.login(realmOf(0).Name(), device(0, honestDevices+rng.IntN(rogueDevices))); err != nil {
		return err
	}
	bad := violations[rng.IntN(len(violations))]
	if err := s.frame([]byte(bad)); err != nil {
		return unmet(err)
	}
	if err := d.abortedFor(s, violation); err != nil {
		return fmt.Errorf("%s: %w", bad, err)
	}
	return nil
}

// oversized announces more than a message may have and sends some of it.
func (d *den) oversized(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	_, _ = s.conn.Write(append(s.header(messageBytes+1+rng.IntN(1<<30)), make([]byte, 64<<10)...))
	return d.abortedFor(s, violation)
}

// forge answers calls that it was not given, and withdraws what is not its own.
func (d *den) forge(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	foreign := func() message.ID { return message.ID(1 + rng.Uint64N(50)) }
	for range 50 {
		if err := s.send(
			&message.Yield{Request: foreign()},
			&message.Error{Request: message.CodeInvocation, RequestID: foreign(), Details: message.Dict{}, URI: "rogue.error"},
			&message.Cancel{Request: foreign(), Mode: "kill"},
			&message.Unsubscribe{Request: s.id(), Subscription: foreign()},
			&message.Unregister{Request: s.id(), Registration: foreign()},
		); err != nil {
			break
		}
	}
	_ = s.send(&message.Goodbye{Reason: "wamp.close.normal", Details: message.Dict{}})
	return d.cutOff(s, patience)
}

// playDead joins, subscribes and answers nothing more: not the pings either. The router must notice.
func (d *den) playDead(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.send(&message.Subscribe{Request: s.id(), Topic: "rogue.dead"}); err != nil {
		return unmet(err)
	}
	if rng.IntN(2) == 0 { // in the middle of a large message
		_, _ = s.conn.Write(append(s.header(messageBytes/2), make([]byte, messageBytes/4)...))
	}
	return d.cutOff(s, 3*pingEvery+strangerBound)
}

func (d *den) vanishMidFrame(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	announced := 1000 + rng.IntN(messageBytes/2)
	_, _ = s.conn.Write(append(s.header(announced), make([]byte, rng.IntN(announced))...))
	s.vanish()
	return nil
}

// doomed joins the realm that comes and goes, with calls that nobody answers, and waits for its end.
func (d *den) doomed(ctx context.Context, rng *rand.Rand) error {
	who := device(third, honestDevices+rng.IntN(rogueDevices))
	s, err := d.join(ctx, rng, third, who)
	if err != nil {
		return err // among others because the realm is not there
	}
	defer s.close()
	procedure := s.function("never")
	if err := s.send(
		&message.Register{Request: s.id(), Procedure: procedure},
		&message.Subscribe{Request: s.id(), Topic: "rogue.doomed"},
		&message.Call{Request: s.id(), Procedure: procedure, Options: message.CallOptions{TimeoutMs: int64(1 + rng.IntN(3000))}},
		&message.Call{Request: s.id(), Procedure: procedure},
	); err != nil {
		return unmet(err)
	}
	return d.doom(s)
}

// doom waits for the removal, and answers the pings until then.
func (d *den) doom(s *stranger) error {
	removed := make(chan error, 1)
	go func() {
		reason, err := s.untilGone(patience)
		d.ledger.ended(reason)
		if err == nil && reason != "" && reason != "wamp.close.close_realm" {
			err = fmt.Errorf("ended with %s", reason)
		}
		removed <- err
	}()
	alive := time.NewTicker(pingEvery / 2)
	defer alive.Stop()
	for {
		select {
		case err := <-removed:
			return err
		case <-alive.C:
			_, _ = s.conn.Write([]byte{final | 0xa, maskBit, 0, 0, 0, 0}) // a pong; where it fails the reader tells
		}
	}
}
