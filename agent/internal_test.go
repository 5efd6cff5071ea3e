package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

func TestAPauseIsRandomAndBoundedAndGrows(t *testing.T) {
	t.Parallel()
	var b backoff
	bounds := []time.Duration{}
	distinct := map[time.Duration]bool{}
	for range 200 {
		bound := b.bound()
		bounds = append(bounds, bound)
		p := b.next()
		if p < 0 || p >= bound || bound > 30*time.Second {
			t.Fatalf("pause %v below %v", p, bound)
		}
		distinct[p] = true
	}
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
	for i, w := range want {
		if bounds[i] != w {
			t.Errorf("bound %d is %v, want %v", i, bounds[i], w)
		}
	}
	if len(distinct) < 150 {
		t.Errorf("only %d different pauses", len(distinct))
	}
	b.lasted(59 * time.Second)
	if b.bound() != longestWait {
		t.Error("a short session has ended the pauses")
	}
	b.lasted(60 * time.Second)
	if b.bound() != firstPause {
		t.Error("a steady session has not")
	}
}

// An hour without a router: the attempts are spread, none comes in a burst, none is more than 30 s after the other.
func TestARouterThatIsAwayIsNotHammered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		m := &membership{
			realm: "device-1", board: newBoard(), log: slog.New(slog.DiscardHandler),
			join: func(context.Context, string) (*wampx.Session, error) {
				at = append(at, time.Now())
				return nil, errs.As(wire.Unavailable, errors.New("refused"), "the router cannot be reached")
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		m.run(ctx)
		if len(at) < 120 || len(at) > 480 {
			t.Errorf("%d attempts in an hour", len(at))
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap >= 30*time.Second {
				t.Errorf("a pause of %v", gap)
			}
		}
	})
}

func TestAReasonIsSaidOnceUntilAnotherComes(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	m := &membership{realm: "r", board: newBoard(), log: slog.New(slog.NewTextHandler(&said, nil))}
	for range 5 {
		m.outside(errs.E(wire.Unavailable, "away"))
	}
	m.outside(errs.E(wire.Unauthenticated, "no"))
	m.outside(errs.E(wire.Unavailable, "away"))
	if n := strings.Count(said.String(), "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, said.String())
	}
}

func TestAnOutboxGivesUpTheOldestAndCounts(t *testing.T) {
	t.Parallel()
	var b budget
	o := newOutbox(&b)
	start := time.Now().UnixMilli()
	for i := range int64(3 * 3600) {
		if _, err := o.add(wire.Row{"x": i}, start+i*1000); err != nil {
			t.Fatal(err)
		}
	}
	left := o.oldest(1 << 20)
	if got := o.tally(); got.buffered != 3601 || got.dropped != 3*3600-3601 || left[0].tsp != start+(3*3600-3601)*1000 {
		t.Errorf("%+v, oldest %d", got, left[0].tsp-start)
	}
	large := strings.Repeat("x", 100<<10)
	for i := range int64(100) {
		_, _ = o.add(wire.Row{"x": large}, start+3*3600_000+i)
	}
	if o.bytes > outboxBytes || b.used.Load() != int64(o.bytes) || len(o.entries) < 15 {
		t.Errorf("holds %d bytes in %d rows, the budget says %d", o.bytes, len(o.entries), b.used.Load())
	}
	seq := left[0].seq
	for _, e := range o.oldest(1 << 20) {
		if e.seq <= seq {
			t.Fatal("out of order")
		}
		seq = e.seq
		o.remove(e.seq, false)
	}
	o.remove(seq, true) // again: it is not there
	if got := o.tally(); got.buffered != 0 || got.refused != 0 || b.used.Load() != 0 {
		t.Errorf("%+v, the budget says %d", got, b.used.Load())
	}
}

func TestLostRowsAreSaidNowAndThen(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	p := &publication{outbox: newOutbox(&budget{}), log: slog.New(slog.NewTextHandler(&said, nil))}
	for i := range int64(450) {
		lost, err := p.outbox.add(wire.Row{}, i*outboxAge) // an hour apart: there is room for two
		if err != nil {
			t.Fatal(err)
		}
		p.gaveUp(lost)
	}
	if n := strings.Count(said.String(), "rows lost"); n != 5 {
		t.Errorf("said %d times:\n%s", n, said.String())
	}
}

func TestAllOutboxesShareOneBudget(t *testing.T) {
	t.Parallel()
	var b budget
	large := strings.Repeat("x", 100<<10)
	var boxes []*outbox
	for range 8 {
		o := newOutbox(&b)
		boxes = append(boxes, o)
		for i := range int64(30) {
			_, _ = o.add(wire.Row{"x": large}, i)
		}
	}
	if used := b.used.Load(); used > budgetBytes+8*(101<<10) {
		t.Errorf("%d bytes are held", used)
	}
	for _, o := range boxes {
		o.discard()
	}
	if b.used.Load() != 0 {
		t.Errorf("%d bytes are held after all is discarded", b.used.Load())
	}
}

func TestTicksAreMultiplesOfTheInterval(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{200 * time.Millisecond, time.Second, 7 * time.Second, time.Minute} {
		now := time.Unix(1_700_000_000, 123_456_789)
		due := now.Add(untilTick(now, interval))
		if due.UnixNano()%int64(interval) != 0 || !due.After(now) || due.Sub(now) > interval {
			t.Errorf("%v: the next tick is %v", interval, due)
		}
		if got := stamp(due, due.Add(3*time.Millisecond), interval); got != due.UnixMilli() {
			t.Errorf("%v: a row that comes a little late is of %d", interval, got)
		}
		if got := stamp(due, due.Add(-time.Millisecond), interval); got != due.UnixMilli() {
			t.Errorf("%v: a row that comes a little early is of %d", interval, got)
		}
		set := due.Add(-48 * time.Hour)
		if got := stamp(due, set, interval); got > set.UnixMilli() || got <= set.Add(-interval).UnixMilli() || got%interval.Milliseconds() != 0 {
			t.Errorf("%v: after the clock was set a row is of %d, now is %d", interval, got, set.UnixMilli())
		}
	}
}

func TestAnAssignmentThatMakesNoSenseIsLeftOut(t *testing.T) {
	t.Parallel()
	a := New(Config{Flash: wire.Flash{DeviceRealm: "device-1"}, Log: slog.New(slog.DiscardHandler)})
	ok := wire.Assignment{Realm: "realm-1-2-prod", Project: 1, App: 2, Stage: wire.Prod}
	got := a.usable([]wire.Assignment{{}, {Realm: "device-1", Project: 1, App: 2}, {Realm: "x"}, ok, ok})
	if len(got) != 1 || got[ok.Realm].App != 2 {
		t.Errorf("kept %+v", got)
	}
	many := make([]wire.Assignment, 100)
	for i := range many {
		many[i] = wire.Assignment{Realm: strings.Repeat("r", i+1), Project: 1, App: 2}
	}
	if got := a.usable(many); len(got) != maxInstallations {
		t.Errorf("kept %d", len(got))
	}
	for name, p := range map[string]wire.AgentPublication{
		"source":   {Source: "camera", Table: "t", IntervalMs: 1000},
		"table":    {Source: wire.SourceHost, IntervalMs: 1000},
		"interval": {Source: wire.SourceHost, Table: "t"},
	} {
		if _, err := newPublication(ok, p, newOutbox(&budget{}), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
