package quota

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/wire"
)

func TestALevelIsReachedAtItsShareAndLeftSomewhatBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before      Level
		used, limit int64
		refused     bool
		want        Level
	}{
		{Room, 0, 1000, false, Room}, {Room, 799, 1000, false, Room}, {Room, 800, 1000, false, High}, {High, 780, 1000, false, High},
		{High, 779, 1000, false, Room}, {Room, 950, 1000, false, AlmostFull}, {Full, 979, 1000, false, AlmostFull}, {Full, 985, 1000, false, Full},
		{Room, 1000, 1000, false, Full}, {Room, 5000, 1000, false, Full}, {AlmostFull, 930, 1000, false, AlmostFull}, {AlmostFull, 929, 1000, false, High},
		{Room, 960, 1000, true, Full}, {Room, 100, 1000, true, Room}, // one bulk that is larger than all that is left says little
		{Full, 1 << 60, 0, true, Room}, {"", 0, 1000, false, Room}, {Room, Most, Most, false, Full}, {Room, 1, 1, false, Full},
	} {
		if got := levelOf(c.before, c.used, c.limit, c.refused); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// nothing keeps nothing, and has no tables and no disk.
type nothing struct{}

func (nothing) Records(context.Context) ([]Record, error) { return nil, nil }
func (nothing) SetQuota(context.Context, wire.Key, *int64, func(string, *int64) audit.Entry) error {
	return nil
}
func (nothing) KeepMeasured(context.Context, map[wire.Key]Measured) error     { return nil }
func (nothing) KeepLevel(context.Context, wire.Key, Level, audit.Entry) error { return nil }
func (nothing) Places(context.Context) ([]Place, error)                       { return nil, nil }
func (nothing) Sizes(context.Context, string) (map[wire.Key]int64, error)     { return nil, nil }
func (nothing) SetReadOnly(context.Context, wire.Key, bool) error             { return nil }
func (nothing) Waiting(wire.Key) int64                                        { return 0 }
func (nothing) Exported() (map[wire.Key]int64, error)                         { return nil, nil }

func TestManyWhoTakeAtOnceGetNoMoreThanThereIs(t *testing.T) {
	t.Parallel()
	q, err := New(Config{Store: nothing{}, Tables: nothing{}, Disk: nothing{}, Default: 1000, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	taken := 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if q.Take(1, 3) != nil {
					continue
				}
				q.Settle(1, 3, true)
				mu.Lock()
				taken += 3
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if taken != 999 || q.Use(1).Used() != 999 {
		t.Errorf("%d were taken, %+v", taken, q.Use(1))
	}
	if err := q.Take(2, 1000); err != nil {
		t.Errorf("another project: %v", err)
	}
	q.Settle(2, 1000, false) // what was not kept leaves its room
	if err := q.Take(2, 1000); err != nil {
		t.Error(err)
	}
}

// What is kept while the tables are measured counts, though the measurement may not have seen it.
func TestNothingThatComesDuringAMeasurementIsForgotten(t *testing.T) {
	t.Parallel()
	a := &account{limit: 1000}
	a.since = 100
	counted := a.begin()
	a.since += 50
	a.finish(Measured{Tables: 90}, counted)
	if a.used() != 140 {
		t.Errorf("%d bytes are counted", a.used())
	}
}
