package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/backend/audit"
)

// written keeps what was recorded, or fails.
type written struct {
	mu      sync.Mutex // guards what follows
	entries []audit.Entry
	broken  bool
}

func (w *written) Record(_ context.Context, e audit.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return errors.New("disk full")
	}
	w.entries = append(w.entries, e)
	return e.Check()
}

func (w *written) mend(broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = broken
}

// told is how many refusals the entries tell of, one by one and counted.
func (w *written) told(t *testing.T) (each, counted int64) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.entries {
		if e.Action != audit.RefusalCount {
			each++
			continue
		}
		var c audit.Counted
		if err := json.Unmarshal(e.After, &c); err != nil || c.Count < 1 || c.Until.Before(c.Since) || c.Action != audit.AccessRefuse {
			t.Errorf("%s %v", e.After, err)
		}
		counted += c.Count
		var named int64
		for address, n := range c.Addresses {
			if named += n; address == "" || n < 1 {
				t.Errorf("%q: %d", address, n)
			}
		}
		if named > c.Count || c.Address != "" && c.Addresses != nil {
			t.Errorf("%s", e.After)
		}
	}
	return each, counted
}

func refusal(address string) audit.Entry {
	by := someone
	by.Address = address
	return audit.New(by, audit.AccessRefuse, 7, audit.Asset{Kind: "device"}).Failing()
}

func TestEachRefusalIsWrittenOrCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		r := audit.NewRefusals(w, slog.New(slog.DiscardHandler), time.Now)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Serve(ctx) }()
		const all = 5000
		for i := range all {
			r.Note(ctx, refusal(fmt.Sprintf("192.0.2.%d", i%3000)))
		}
		each, counted := w.told(t)
		if each != 100 || counted != 0 {
			t.Errorf("a flood wrote %d entries and %d counts", each, counted)
		}
		time.Sleep(11 * time.Second) // of the bubble
		synctest.Wait()
		if each, counted = w.told(t); each+counted != all || len(w.entries) > 101 {
			t.Errorf("%d and %d of %d, in %d entries", each, counted, all, len(w.entries))
		}
		for range 20 {
			r.Note(ctx, refusal("192.0.2.1"))
		}
		stop()
		<-done
		if each, counted = w.told(t); each+counted != all+20 {
			t.Errorf("the last window is lost: %d and %d", each, counted)
		}
	})
}

func TestAFloodFromManyAddressesIsOneEntryThatNamesThem(t *testing.T) {
	t.Parallel()
	w := &written{}
	r := audit.NewRefusals(w, slog.New(slog.DiscardHandler), time.Now)
	for i := range 300 {
		for range 1 + i%2 {
			r.Count(refusal(fmt.Sprintf("10.0.%d.%d", i/200, i%200)))
		}
	}
	other := refusal("192.0.2.1")
	other.Project = 8
	r.Count(other)
	if each, _ := w.told(t); each != 0 || len(w.entries) != 0 {
		t.Errorf("%d entries before the window is over", len(w.entries))
	}
	r.Close(t.Context())
	if _, counted := w.told(t); counted != 451 || len(w.entries) != 2 {
		t.Fatalf("%d in %d entries", counted, len(w.entries))
	}
	var all, one audit.Counted
	if err := errors.Join(json.Unmarshal(w.entries[0].After, &all), json.Unmarshal(w.entries[1].After, &one)); err != nil {
		t.Fatal(err)
	}
	if len(all.Addresses) != 200 || all.Addresses["10.0.0.1"] != 2 || all.Count != 450 || one.Address != "192.0.2.1" || w.entries[1].Project != 8 {
		t.Errorf("%+v and %+v", all, one)
	}
	if filed, err := w.entries[0].File(); err != nil || strings.Contains(string(filed.Body), "10.0.0.1") || !strings.Contains(string(filed.Personal.Data), "10.0.0.1") {
		t.Errorf("the leaf tells where people are: %s, %v", filed.Body, err)
	}
}

func TestRefusalsThatTheLogCannotTakeAreCountedUntilItCan(t *testing.T) {
	t.Parallel()
	w := &written{broken: true}
	r := audit.NewRefusals(w, slog.New(slog.DiscardHandler), time.Now)
	for i := range 9 {
		r.Note(t.Context(), refusal("192.0.2.1"))
		for range 10 {
			r.Count(refusal(fmt.Sprintf("10.0.0.%d", i)))
		}
	}
	r.Close(t.Context())
	r.Close(t.Context())
	w.mend(false)
	r.Close(t.Context())
	if each, counted := w.told(t); each != 0 || counted != 99 {
		t.Errorf("%d and %d", each, counted)
	}
}

func TestACallerThatHasGoneIsWrittenAllTheSame(t *testing.T) {
	t.Parallel()
	w := &written{}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	audit.NewRefusals(w, slog.New(slog.DiscardHandler), time.Now).Note(gone, refusal("192.0.2.1"))
	if each, _ := w.told(t); each != 1 {
		t.Error("lost")
	}
}
