package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"bulkhead/router/message"
	"bulkhead/wire"
)

// function names a function of the device that has joined.
func (s *stranger) function(name string) string {
	return wire.DeviceFunction(s.who.Project, s.who.Key, app, stage, name)
}

func payload(f message.Format, args ...any) message.Payload {
	p, err := message.NewPayload(f, args, nil)
	if err != nil {
		panic(err) // only plain values are given
	}
	return p
}

// exchange sends messages, some at a time, while it reads, until the answer to the last one is there. It gives how many of the
// answers were errors.
func (s *stranger) exchange(all []message.Message, isLast func(message.Message) bool) (refused int, err error) {
	sent := make(chan error, 1)
	go func() {
		for len(all) > 0 {
			some := min(64, len(all))
			if err := s.send(all[:some]...); err != nil {
				sent <- err
				return
			}
			all = all[some:]
		}
		sent <- nil
	}()
	defer func() {
		if err != nil {
			_ = s.tcp.Close() // wakes the sender
		}
		err = errors.Join(err, <-sent)
	}()
	for {
		m, err := s.next()
		if err != nil {
			return refused, err
		}
		if _, bad := m.(*message.Error); bad {
			refused++
		}
		if isLast(m) {
			return refused, nil
		}
	}
}

// answers reports whether m answers a request, be it with an ERROR.
func answers(m message.Message, request message.ID) bool {
	switch m := m.(type) {
	case *message.Error:
		return m.RequestID == request
	case *message.Published:
		return m.Request == request
	case *message.Subscribed:
		return m.Request == request
	case *message.Result:
		return m.Request == request && !m.Details.Progress
	default:
		return false
	}
}

// floodPublish publishes more than it may in a second, to itself as well.
func (d *den) floodPublish(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	all := []message.Message{&message.Subscribe{Request: s.id(), Topic: "rogue.flood"}}
	for range 2*messagesPerSec + 1000 {
		all = append(all, &message.Publish{
			Request: s.id(), Topic: "rogue.flood", Payload: payload(s.format, "some text"),
			Options: message.PublishOptions{Acknowledge: true, KeepMe: rng.IntN(4) == 0},
		})
	}
	_, err = s.exchange(all, func(m message.Message) bool { return answers(m, s.request) })
	return err
}

// floodCall calls what nobody answers, more often than it may, and leaves with the calls pending.
func (d *den) floodCall(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	procedure := s.function(fmt.Sprintf("never%d", s.session))
	all := []message.Message{&message.Register{Request: s.id(), Procedure: procedure}}
	for range maxCalls + 50 {
		all = append(all, &message.Call{Request: s.id(), Procedure: procedure, Options: message.CallOptions{TimeoutMs: 60_000}})
	}
	refused, err := s.exchange(all, func(m message.Message) bool { return answers(m, s.request) })
	if err == nil && refused != 50 {
		return fmt.Errorf("%d calls of %d were refused, of which %d may be open", refused, maxCalls+50, maxCalls)
	}
	return err
}

// floodSubscribe subscribes to more patterns than it may have.
func (d *den) floodSubscribe(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	const over = 100
	var all []message.Message
	for i := range maxPatterns + over {
		m := &message.Subscribe{Request: s.id(), Topic: fmt.Sprintf("rogue.pattern.%d.%d", s.session, i)}
		switch i % 3 {
		case 0:
			m.Options.Match = "prefix"
		case 1:
			m.Options.Match, m.Topic = "wildcard", m.Topic+"..x"
		}
		all = append(all, m)
	}
	refused, err := s.exchange(all, func(m message.Message) bool { return answers(m, s.request) })
	if err == nil && refused < over {
		return fmt.Errorf("%d subscriptions of %d were refused, of which %d may be open", refused, len(all), maxPatterns)
	}
	return err
}
