package databackend_test

import (
	stdcmp "cmp"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// chunksOf counts the chunks of rows by their first moments, as a database does that counts chunks from origin.
func chunksOf(records []databackend.Record, length time.Duration, origin time.Time) int {
	seen := map[int64]bool{}
	for _, r := range records {
		at, size := r.Values[0].(time.Time).Unix()-origin.Unix(), int64(length/time.Second)
		seen[at-((at%size)+size)%size] = true
	}
	return len(seen)
}

var origins = []time.Time{time.Unix(0, 0), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)}

func bulkAt(first int, times []time.Time) wire.Submission {
	rows := make([]any, len(times))
	for i, at := range times {
		rows[i] = map[string]any{"tsp": at.UnixMilli(), "n": uint64(first + i)}
	}
	s := number(0)
	s.Bulk, s.Args = true, []any{rows}
	return s
}

func every(step time.Duration, n int) (times []time.Time) {
	for i := range n {
		times = append(times, time.Date(2020, 1, 6, 0, 0, 0, 0, time.UTC).Add(time.Duration(i)*step))
	}
	return times
}

func TestABulkThatReachesTooManyChunksIsRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		length time.Duration
		times  []time.Time
		fits   bool
	}{
		"as many weeks as may be":          {0, every(week, databackend.MaxChunks-1), true},
		"a week too many":                  {0, every(week, databackend.MaxChunks+1), false},
		"many rows in a few weeks":         {0, every(time.Minute, 50_000), true},
		"as many hours as may be":          {time.Hour, every(time.Hour, databackend.MaxChunks), true},
		"an hour too many":                 {time.Hour, every(time.Hour, databackend.MaxChunks+1), false},
		"each on another day, on and on":   {24 * time.Hour, every(24*time.Hour, 50_000), false},
		"there and back again":             {24 * time.Hour, append(every(24*time.Hour, 150), every(24*time.Hour, 150)...), true},
		"each in one of two weeks in turn": {0, again(every(week, 2), 1000), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := tableOf(t, "plain")
			table.ChunkInterval = c.length
			records, err := databackend.NewRules(table).Records(bulkAt(0, c.times), now, serverSeq)
			if c.fits {
				if err != nil || len(records) != len(c.times) {
					t.Errorf("%d of %d rows, %v", len(records), len(c.times), err)
				}
				return
			}
			if errs.URIOf(err) != wire.ErrInvalidRow || !strings.Contains(errs.UserText(err), "more than 200 chunks") || !strings.Contains(errs.UserText(err), "in parts") || records != nil {
				t.Errorf("got %d rows, %v", len(records), err)
			}
		})
	}
}

// again repeats times.
func again(times []time.Time, n int) (all []time.Time) {
	for range n {
		all = append(all, times...)
	}
	return all
}

// watchful is a database that notes the batch that reaches most chunks.
type watchful struct {
	scripted
	mu    sync.Mutex // guards what follows
	most  int
	daily chan struct{} // closed by the first batch for chunks of a day; may be nil
}

func (w *watchful) Write(ctx context.Context, p databackend.Placement, t databackend.Table, records []databackend.Record) error {
	w.mu.Lock()
	for _, origin := range origins {
		w.most = max(w.most, chunksOf(records, stdcmp.Or(t.ChunkInterval, databackend.DefaultChunkInterval), origin))
	}
	if w.daily != nil && t.ChunkInterval == 24*time.Hour {
		close(w.daily)
		w.daily = nil
	}
	w.mu.Unlock()
	return w.scripted.Write(ctx, p, t, records)
}

func TestNoTransactionReachesTooManyChunksWhateverIsQueued(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := &watchful{}
		spilled := rapid.Bool().Draw(rt, "database down at first")
		if spilled {
			w.fail = down
		}
		s := newServer(t, w, func(c *databackend.Config) { c.Limits.BatchDelay = 5 * time.Millisecond })
		defer s.Stop()
		var all sync.WaitGroup
		var want []int64
		next := 0
		for range rapid.IntRange(1, 12).Draw(rt, "submissions") {
			first, step := rapid.IntRange(0, 40_000).Draw(rt, "first day"), rapid.SampledFrom([]int{0, 1, 3, 7, 50, 200}).Draw(rt, "days between")
			times := make([]time.Time, rapid.SampledFrom([]int{1, 2, 70, 199}).Draw(rt, "rows"))
			for i := range times {
				times[i] = time.Unix(int64(first+i*step)*86400, 0)
				want = append(want, int64(next+i))
			}
			all.Add(1)
			s.Accept(bulkAt(next, times), func(err error) {
				defer all.Done()
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			})
			next += len(times)
		}
		all.Wait()
		w.set(nil)
		mustFlush(t, s)
		if diff := cmp.Diff(want, w.numbers("p_x.plain")); diff != "" {
			rt.Fatalf("stored otherwise than published: %s", diff)
		}
		if w.most > databackend.MaxChunks {
			rt.Fatalf("a transaction reaches %d chunks", w.most)
		}
	})
}

func TestABadRowBehindTheFirstTransactionOfABatchIsFound(t *testing.T) {
	t.Parallel()
	w := &watchful{}
	w.fail = refusing(450)
	s := newServer(t, w, func(c *databackend.Config) { c.Limits.BatchDelay = time.Hour; c.Limits.BatchRows = 600 })
	answers := make(chan error, 600)
	for i, at := range every(8*24*time.Hour, 600) {
		sub := number(i)
		sub.Args = []any{map[string]any{"tsp": at.UnixMilli(), "n": uint64(i)}}
		s.Accept(sub, func(err error) { answers <- err })
	}
	refused := 0
	for range 600 {
		if <-answers != nil {
			refused++
		}
	}
	want := append(ascending(0, 449), ascending(451, 599)...)
	if diff := cmp.Diff(want, w.numbers("p_x.plain")); diff != "" || refused != 1 || w.most > databackend.MaxChunks {
		t.Errorf("%d refused, %d chunks, %s", refused, w.most, diff)
	}
}

func TestABulkThatWaitedWhileChunksBecameShorterIsSetAside(t *testing.T) {
	t.Parallel()
	daily := make(chan struct{})
	w := &watchful{daily: daily}
	w.fail = down
	s := newServer(t, w)
	mustAppend(t, s, bulkAt(1, every(24*time.Hour, 300)), databackend.Spilled)
	mustAppend(t, s, number(1000), databackend.Spilled)
	text := strings.Replace(rowTemplate, "- tablename: plain", "- tablename: plain\n      chunkTimeInterval: 1 day", 1)
	template, err := databackend.ParseTemplate("t.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(databackend.Installation{Realm: "realm-1-2-prod", Project: 1, Template: template, Placement: databackend.Placement{Schema: "p_x"}}); err != nil {
		t.Fatal(err)
	}
	<-daily // no attempt of the old template is under way
	w.set(nil)
	mustFlush(t, s)
	if diff := cmp.Diff([]int64{1000}, w.numbers("p_x.plain")); diff != "" || len(filesUnder(t, s.config.Dir, ".aside")) != 1 {
		t.Errorf("%d files set aside, %s", len(filesUnder(t, s.config.Dir, ".aside")), diff)
	}
}
