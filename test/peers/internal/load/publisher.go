package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bulkhead/test/peers/internal/frame"
)

// answerTimeout is how long a request's answer may be overdue before it counts as lost.
const answerTimeout = 3 * time.Second

// publisher keeps a window of publications that are not acknowledged yet.
type publisher struct {
	session   *Session
	number    uint8
	window    int
	perSecond int // 0: as many as the window lets
	template  *frame.Template
	out       []byte

	seq     uint32
	settled uint64 // the highest request id that was answered or given up
	givenUp uint64 // the highest request id that was given up: what comes for it now is late

	started                     time.Time // the round
	sent, acknowledged, refused int64     // of this round
}

// run publishes until the time is up and all is answered.
func (p *publisher) run(ctx context.Context, until time.Time) error {
	p.sent, p.acknowledged, p.refused = 0, 0, 0
	p.started = time.Now()
	for time.Now().Before(until) && ctx.Err() == nil {
		p.pace()
		if err := p.fill(); err != nil {
			return fmt.Errorf("publisher: %w", err)
		}
		if err := p.await(); err != nil {
			return fmt.Errorf("publisher: %w", err)
		}
	}
	for p.outstanding() > 0 {
		if err := p.await(); err != nil {
			return fmt.Errorf("publisher: %w", err)
		}
	}
	return ctx.Err()
}

func (p *publisher) outstanding() int { return int(p.session.request - p.settled) }

// due is how many publications the pace allows to be sent now.
func (p *publisher) due() int64 {
	if p.perSecond == 0 {
		return int64(p.window)
	}
	return int64(time.Since(p.started).Seconds()*float64(p.perSecond)) - p.sent
}

// pace waits until a publication is due.
func (p *publisher) pace() {
	for p.due() <= 0 {
		time.Sleep(time.Millisecond)
	}
}

// fill sends as many publications as the window has room for and are due, in one write.
func (p *publisher) fill() error {
	p.out = p.out[:0]
	now := sinceEpoch()
	for due := p.due(); p.outstanding() < p.window && due > 0; due-- {
		p.session.request++
		p.seq++
		p.sent++
		p.out = p.template.Append(p.out, p.session.request, frame.Stamp{Sender: p.number, Seq: p.seq, Nanos: now})
	}
	_, err := p.session.conn.Write(p.out)
	return err
}

// await takes the acknowledgements that one read brings. If none comes in time, those outstanding are given up.
func (p *publisher) await() error {
	if err := p.session.conn.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	err := p.session.scan.Fill()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.settled, p.givenUp = p.session.request, p.session.request
		return nil
	}
	if err != nil {
		return err
	}
	return p.session.each(p.answer)
}

func (p *publisher) answer(h frame.Head, message []byte) error {
	id, count := h.IDs[0], &p.acknowledged
	if h.Code == codeError {
		id, count = h.IDs[1], &p.refused
	} else if h.Code != codePublished {
		return fmt.Errorf("not an answer: %.200q", message)
	}
	if id > p.givenUp {
		*count++
	}
	p.settled = max(p.settled, id)
	return nil
}
