package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/measure"
)

// CallPlan says who calls whom. Every caller calls the callees in turn.
type CallPlan struct {
	Realm      string
	Callers    int
	Callees    int
	Window     int // calls of one caller that are not answered yet
	Serializer frame.Serializer
}

// Calls is callers and callees that have joined.
type Calls struct {
	callers []*caller
	callees []*callee
	readers sync.WaitGroup
}

// NewCalls joins and registers. The callees answer until Close.
func NewCalls(ctx context.Context, t Target, plan CallPlan) (*Calls, error) {
	c := &Calls{}
	if err := c.join(ctx, t, plan); err != nil {
		c.Close()
		return nil, err
	}
	for _, callee := range c.callees {
		c.readers.Go(callee.serve)
	}
	return c, nil
}

func (c *Calls) join(ctx context.Context, t Target, plan CallPlan) error {
	login := Login{Realm: plan.Realm, Serializer: plan.Serializer, Buffer: readBuffer}
	var calls []*frame.Template
	for i := range plan.Callees {
		procedure := fmt.Sprintf("bench.procedure.%d", i)
		s, err := Join(ctx, t, login)
		if err != nil {
			return err
		}
		yield, errYield := frame.NewTemplate(plan.Serializer, codeYield, map[string]any{}, frame.Payload)
		call, errCall := frame.NewTemplate(plan.Serializer, codeCall, map[string]any{}, procedure, frame.Payload)
		c.callees, calls = append(c.callees, &callee{session: s, yield: yield}), append(calls, call)
		if err := errors.Join(errYield, errCall, s.Register(procedure)); err != nil {
			return err
		}
	}
	for range plan.Callers {
		s, err := Join(ctx, t, login)
		if err != nil {
			return err
		}
		c.callers = append(c.callers, &caller{session: s, calls: calls, window: plan.Window})
	}
	return nil
}

// Run calls for the time d, then waits for the answers that are due.
func (c *Calls) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
	var running sync.WaitGroup
	start := time.Now()
	errs := make([]error, len(c.callers))
	for i, caller := range c.callers {
		running.Go(func() { errs[i] = caller.run(ctx, start.Add(d)) })
	}
	running.Wait()
	r := measure.Round{Latency: &measure.Histogram{}}
	end := uint64(0)
	for _, caller := range c.callers {
		r.Ops += caller.answered
		r.Refused += caller.refused
		r.Lost += caller.sent - caller.answered - caller.refused
		r.Latency.Merge(&caller.latency)
		end = max(end, caller.latestAt)
	}
	r.Elapsed = epoch.Add(time.Duration(end)).Sub(start)
	return r, errors.Join(errs...)
}

// Close ends all sessions and waits for the callees.
func (c *Calls) Close() {
	for _, callee := range c.callees {
		callee.session.Close()
	}
	for _, caller := range c.callers {
		caller.session.Close()
	}
	c.readers.Wait()
}

// callee answers every invocation.
type callee struct {
	session *Session
	yield   *frame.Template
	out     []byte
}

// serve runs until the session ends; what one read brings is answered in one write. A callee that fails shows as answers
// that are lost.
func (c *callee) serve() {
	for c.session.scan.Fill() == nil {
		c.out = c.out[:0]
		if c.session.each(c.invocation) != nil {
			return
		}
		if _, err := c.session.conn.Write(c.out); err != nil {
			return
		}
	}
}

func (c *callee) invocation(h frame.Head, message []byte) error {
	if h.Code != codeInvocation {
		return fmt.Errorf("not an invocation: %.200q", message)
	}
	c.out = c.yield.Append(c.out, h.IDs[0], frame.Stamp{})
	return nil
}

// pending is a power of two and more than any window, so that a request's time of sending is found by its id.
const pending = 1024

// caller keeps a window of calls that are not answered yet. Answers may come in any order.
type caller struct {
	session *Session
	calls   []*frame.Template
	window  int
	out     []byte

	sentAt      [pending]uint64 // by request id; 0 where the call is settled
	outstanding int
	latestAt    uint64

	sent, answered, refused int64 // of this round
	latency                 measure.Histogram
}

func (c *caller) run(ctx context.Context, until time.Time) error {
	c.sent, c.answered, c.refused = 0, 0, 0
	c.latency.Reset()
	for time.Now().Before(until) && ctx.Err() == nil {
		if err := c.fill(); err != nil {
			return fmt.Errorf("caller: %w", err)
		}
		if err := c.await(); err != nil {
			return fmt.Errorf("caller: %w", err)
		}
	}
	for c.outstanding > 0 {
		if err := c.await(); err != nil {
			return fmt.Errorf("caller: %w", err)
		}
	}
	return ctx.Err()
}

// fill sends as many calls as the window has room for, in one write.
func (c *caller) fill() error {
	c.out = c.out[:0]
	for ; c.outstanding < c.window; c.outstanding++ {
		c.session.request++
		id, now := c.session.request, sinceEpoch()
		c.sentAt[id%pending] = now
		c.sent++
		c.out = c.calls[id%uint64(len(c.calls))].Append(c.out, id, frame.Stamp{Nanos: now})
	}
	_, err := c.session.conn.Write(c.out)
	return err
}

// await takes the answers that one read brings. If none comes in time, those outstanding are given up.
func (c *caller) await() error {
	if err := c.session.conn.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	err := c.session.scan.Fill()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.outstanding = 0
		clear(c.sentAt[:])
		return nil
	}
	if err != nil {
		return err
	}
	c.latestAt = sinceEpoch()
	return c.session.each(c.answer)
}

func (c *caller) answer(h frame.Head, message []byte) error {
	id, count := h.IDs[0], &c.answered
	if h.Code == codeError {
		id, count = h.IDs[1], &c.refused
	} else if h.Code != codeResult {
		return fmt.Errorf("not an answer: %.200q", message)
	}
	sent := &c.sentAt[id%pending]
	if *sent == 0 {
		return nil // given up before
	}
	c.latency.Record(time.Duration(c.latestAt - min(*sent, c.latestAt)))
	*sent = 0
	*count++
	c.outstanding--
	return nil
}
