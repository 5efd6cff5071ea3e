package provision

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPartitionsNeverOverlapAndAlwaysCover draws intervals and times and compares with what must hold of any answer.
func TestPartitionsNeverOverlapAndAlwaysCover(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var existing []span
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			length := time.Duration(rapid.Int64Range(1, 40*24*3600).Draw(t, "seconds")) * time.Second
			from := base.Add(time.Duration(rapid.Int64Range(-1e7, 1e7).Draw(t, "from")) * time.Second)
			to := from.Add(2 * length)
			existing = append(existing, missing(existing, from, to, length)...)
			if again := missing(existing, from, to, length); len(again) > 0 {
				t.Fatalf("not covered: %v", again)
			}
		}
		slices.SortFunc(existing, func(a, b span) int { return a.from.Compare(b.from) })
		for i, s := range existing {
			if !s.from.Before(s.to) {
				t.Fatalf("empty: %v", s)
			}
			if i > 0 && s.from.Before(existing[i-1].to) {
				t.Fatalf("overlap: %v, %v", existing[i-1], s)
			}
		}
	})
}

func TestPartitionsOfOneLengthAreAlignedEverywhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-03-04T12:00:00Z": "2026-03-02T00:00:00Z",
		"2001-01-01T00:00:00Z": "2001-01-01T00:00:00Z",
		"2000-12-31T23:59:59Z": "2000-12-25T00:00:00Z",
		"1600-01-01T00:00:00Z": "1599-12-27T00:00:00Z",
	} {
		at, _ := time.Parse(time.RFC3339, text)
		if got := aligned(at, defaultChunk); got.from.Format(time.RFC3339) != want || !got.contains(at) || got.to.Sub(got.from) != defaultChunk {
			t.Errorf("%s is in %v", text, got)
		}
	}
}

func TestBoundsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	s := aligned(time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC), 90*time.Minute)
	if got, err := parseBound(bounds(s)); err != nil || got != s {
		t.Errorf("%v became %v, %v", s, got, err)
	}
	for _, text := range []string{"", "DEFAULT", "FOR VALUES FROM (MINVALUE) TO ('2026-01-01 00:00:00+00')", "FOR VALUES FROM ('x') TO ('y')"} {
		if _, err := parseBound(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func FuzzParseBound(f *testing.F) {
	f.Add("FOR VALUES FROM ('2026-03-02 00:00:00+00') TO ('2026-03-09 00:00:00+00')")
	f.Add("FOR VALUES FROM ('0000-01-01 0:00:00+00') TO ('0000-01-01 0:00:00+01')") // the second is in a year before the first
	f.Add("DEFAULT")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseBound(text); err == nil {
			if again, err := parseBound(bounds(s)); err != nil || again != s {
				t.Errorf("%q: %v became %v, %v", text, s, again, err)
			}
		}
	})
}
