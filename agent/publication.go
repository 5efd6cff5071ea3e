package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"bulkhead/agent/metrics"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

const (
	shortestInterval = 200 * time.Millisecond
	longestInterval  = 24 * time.Hour
	window           = 32               // rows under way at once
	ackTimeout       = 15 * time.Second // of one row
	flushTimeout     = 1500 * time.Millisecond
)

// publication publishes a source into a table: it samples whether there is a session or not, and sends while there is one.
type publication struct {
	topic    string
	interval time.Duration
	sampler  *metrics.Sampler
	outbox   *outbox
	log      *slog.Logger
}

func newPublication(as wire.Assignment, p wire.AgentPublication, o *outbox, log *slog.Logger) (*publication, error) {
	if p.Source != wire.SourceHost {
		return nil, fmt.Errorf("source %q is unknown to this agent", p.Source)
	}
	if p.Table == "" {
		return nil, fmt.Errorf("the table has no name")
	}
	if p.IntervalMs <= 0 {
		return nil, fmt.Errorf("the interval of %d ms is none", p.IntervalMs)
	}
	interval := time.Duration(min(p.IntervalMs, longestInterval.Milliseconds())) * time.Millisecond
	return &publication{
		topic:    wire.TableTopic(as.Project, as.App, p.Table),
		interval: max(interval, shortestInterval),
		sampler:  metrics.NewSampler(),
		outbox:   o,
		log:      log.With(logkey.Table, p.Table),
	}, nil
}

// untilTick is the time to the next multiple of interval since the epoch. It is asked anew for each row, so that a clock
// that is set delays one row only.
func untilTick(now time.Time, interval time.Duration) time.Duration {
	return interval - time.Duration(now.UnixNano()%int64(interval))
}

// stamp is the time of a row that was due at planned: that time, unless the clock was set while the agent waited.
func stamp(planned, now time.Time, interval time.Duration) int64 {
	if off := now.Round(0).Sub(planned.Round(0)); off < -interval || off > interval {
		planned = now
	}
	ms := planned.UnixMilli()
	return ms - ms%interval.Milliseconds()
}

// produce adds a row at each tick. A tick that passes while the machine hangs has no row.
func (p *publication) produce(ctx context.Context) {
	for {
		now := time.Now()
		wait := untilTick(now, p.interval)
		if !pause(ctx, wait) {
			return
		}
		tsp := stamp(now.Add(wait), time.Now(), p.interval)
		row, err := p.sampler.Sample(ctx)
		var lost uint64
		if err == nil {
			lost, err = p.outbox.add(row, tsp)
		}
		if err != nil && ctx.Err() == nil {
			p.log.Warn("no sample", logkey.Error, err)
		}
		p.gaveUp(lost)
	}
}

// gaveUp says that rows are lost: at the first, and then once for each hundred.
func (p *publication) gaveUp(lost uint64) {
	if total := p.outbox.tally().dropped; lost > 0 && (total == lost || total/100 != (total-lost)/100) {
		p.log.Warn("rows lost: the router is away for longer than they can be kept", logkey.Count, total)
	}
}

// send publishes what is and comes into the outbox until the session is over; when ctx ends it sends what is left.
func (p *publication) send(ctx context.Context, s *wampx.Session) {
	var b backoff
	for {
		err := p.sendAll(ctx, s)
		switch {
		case err == nil:
			b = backoff{}
			select {
			case <-p.outbox.added:
			case <-s.Done():
				return
			case <-ctx.Done():
				p.flush(s)
				return
			}
		case ctx.Err() != nil:
			p.flush(s)
			return
		default:
			p.log.Warn("rows are kept: they were not accepted", logkey.Reason, errs.UserText(err), logkey.Count, p.outbox.tally().buffered)
			select {
			case <-time.After(b.next()):
			case <-s.Done():
				return
			case <-ctx.Done():
				p.flush(s)
				return
			}
		}
	}
}

// flush sends what is left, within a bound, when the agent stops.
func (p *publication) flush(s *wampx.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.sendAll(ctx, s); err != nil {
		p.log.Warn("rows lost: not accepted before the stop", logkey.Reason, errs.UserText(err), logkey.Count, p.outbox.tally().buffered)
	}
}

// sendAll publishes until the outbox is empty. The error is one that may pass; the rows are kept.
func (p *publication) sendAll(ctx context.Context, s *wampx.Session) error {
	for {
		batch := p.outbox.oldest(window)
		if len(batch) == 0 {
			return nil
		}
		if err := p.sendBatch(ctx, s, batch); err != nil {
			return err
		}
	}
}

// sendBatch publishes rows in order and then looks at their acknowledgements.
func (p *publication) sendBatch(ctx context.Context, s *wampx.Session, batch []entry) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	submitted := make([]*wampx.Submission, 0, len(batch))
	for _, e := range batch {
		sub, err := s.Submit(ctx, p.topic, []any{e.row}, map[string]any{"seq": e.seq})
		if err != nil {
			keep(err)
			break
		}
		submitted = append(submitted, sub)
	}
	for i, sub := range submitted {
		if err := sub.Wait(ctx); err != nil && !p.hopeless(err, batch[i]) {
			keep(err)
		} else if err == nil {
			p.outbox.remove(batch[i].seq, false)
		}
	}
	return first
}

// hopeless takes out a row that no repetition makes acceptable. All other refusals may pass.
func (p *publication) hopeless(err error, e entry) bool {
	if errs.KindOf(err) != wire.Invalid {
		return false
	}
	p.outbox.remove(e.seq, true)
	p.log.Warn("row refused", logkey.Reason, errs.UserText(err))
	return true
}
