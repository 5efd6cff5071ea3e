package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"bulkhead/router/message"
)

// testaments leaves some and goes without a word. Another one listens.
func (d *den) testaments(ctx context.Context, rng *rand.Rand) error {
	s, heir, err := d.pair(ctx, rng)
	if err != nil {
		return err
	}
	defer s.vanish()
	defer heir.close()
	topic := fmt.Sprintf("rogue.testament.x%d", s.session)
	wanted := heir.id()
	subscribe := []message.Message{&message.Subscribe{Request: wanted, Topic: topic}}
	if _, err := heir.exchange(subscribe, func(m message.Message) bool { return answers(m, wanted) }); err != nil {
		return err
	}
	var all []message.Message
	for i := range 25 {
		all = append(all, &message.Call{
			Request: s.id(), Procedure: "wamp.session.add_testament",
			Payload: payload(s.format, topic, []any{i}, map[string]any{}),
		})
	}
	refused, err := s.exchange(all, func(m message.Message) bool { return answers(m, s.request) })
	if err != nil || refused == len(all) {
		return err // this role may leave none
	}
	s.vanish()
	for range len(all) - refused {
		if _, err := await(heir, func(*message.Event) bool { return true }); err != nil {
			return fmt.Errorf("of %d testaments: %w", len(all)-refused, err)
		}
	}
	return nil
}

// churn registers, withdraws and registers again, and leaves with all of it.
func (d *den) churn(ctx context.Context, rng *rand.Rand) error {
	s, err := d.member(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	for round := range 10 {
		procedure := s.function(fmt.Sprintf("churn.x%d.%d", s.session, rng.IntN(3)))
		request := s.id()
		if err := s.send(&message.Register{Request: request, Procedure: procedure}); err != nil {
			return unmet(err)
		}
		registered, err := await(s, func(m *message.Registered) bool { return m.Request == request })
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		call := s.id()
		if err := s.send(
			&message.Call{Request: call, Procedure: procedure},
			&message.Unregister{Request: s.id(), Registration: registered.Registration},
			&message.Unregister{Request: s.id(), Registration: registered.Registration}, // once too often
		); err != nil {
			return unmet(err)
		}
		second := s.request
		if _, err := await(s, func(m *message.Error) bool { return m.RequestID == second }); err != nil {
			return fmt.Errorf("a second UNREGISTER: %w", err)
		}
	}
	return nil
}

// cancelRace cancels calls while their callee answers them or leaves. Each call must get one last answer.
func (d *den) cancelRace(ctx context.Context, rng *rand.Rand) error {
	s, callee, err := d.pair(ctx, rng)
	if err != nil {
		return err
	}
	defer s.close()
	defer callee.close()
	procedure := callee.function(fmt.Sprintf("race.x%d", callee.session))
	if err := callee.offer(procedure); err != nil {
		return err
	}
	const calls = 40
	leavesAt := rng.IntN(2 * calls)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		callee.answer(leavesAt)
	}()
	defer func() {
		callee.close()
		<-answered
	}()
	open := map[message.ID]bool{}
	for range calls {
		call := &message.Call{Request: s.id(), Procedure: procedure}
		open[call.Request] = true
		cancel := &message.Cancel{Request: call.Request, Mode: []string{"skip", "kill", "killnowait"}[rng.IntN(3)]}
		if err := s.send(call, cancel); err != nil {
			return unmet(err)
		}
	}
	for len(open) > 0 {
		m, err := s.next()
		if err != nil {
			return fmt.Errorf("%d calls got no answer: %w", len(open), err)
		}
		request, last := finalAnswer(m)
		if last && !open[request] {
			return fmt.Errorf("call %d got a second answer", request)
		}
		delete(open, request)
	}
	return nil
}

func finalAnswer(m message.Message) (request message.ID, last bool) {
	switch m := m.(type) {
	case *message.Result:
		return m.Request, !m.Details.Progress
	case *message.Error:
		return m.RequestID, true
	default:
		return 0, false
	}
}

// answer answers invocations and interrupts, and goes without a word after a number of them.
func (s *stranger) answer(leavesAt int) {
	for handled := 0; ; handled++ {
		m, err := s.next()
		if err != nil {
			return
		}
		if handled == leavesAt {
			s.vanish()
			return
		}
		switch m := m.(type) {
		case *message.Invocation:
			err = s.send(&message.Yield{Request: m.Request})
		case *message.Interrupt:
			err = s.send(&message.Error{
				Request: message.CodeInvocation, RequestID: m.Request, Details: message.Dict{}, URI: "wamp.error.canceled",
			})
		}
		if err != nil {
			return
		}
	}
}

// offer registers a procedure of a misbehaving device.
func (s *stranger) offer(procedure string) error {
	request := s.id()
	if err := s.send(&message.Register{Request: request, Procedure: procedure}); err != nil {
		return unmet(err)
	}
	_, err := await(s, func(m *message.Registered) bool { return m.Request == request })
	return err
}
