package databackend

import (
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// request reads the dictionary of a query. What it does not know is an error: a misspelt filter must not widen an answer.
type request struct {
	dict map[string]any
	err  error // the first
}

// newRequest takes what the caller gave as args[0]; nothing is an empty request.
func newRequest(raw any, known ...string) *request {
	dict, ok := object(raw)
	r := &request{dict: dict}
	if raw == nil {
		return r
	}
	if !ok {
		r.fail("", "args[0]: %s", want("an object", raw))
		return r
	}
	keys := make([]string, 0, len(dict))
	for k := range dict {
		keys = append(keys, k)
	}
	sort.Strings(keys) // one and the same answer for the same request
	for _, k := range keys {
		if !slices.Contains(known, k) {
			r.fail("", "%s: unknown property; known here: %s", clip(k), strings.Join(known, ", "))
		}
	}
	return r
}

// fail notes the first error. The uri is that of the kind where it is "".
func (r *request) fail(uri, format string, args ...any) {
	if r.err == nil {
		e := errs.E(wire.Invalid, format, args...)
		e.URI = uri
		r.err = e
	}
}

// integer reads an integer from least to most; absent is otherwise.
func (r *request) integer(name, uri string, least, most, otherwise int64) int64 {
	v := r.dict[name]
	if v == nil {
		return otherwise
	}
	n, ok := asInteger(v)
	if !ok || n < least || n > most {
		r.fail(uri, "%s: want an integer from %d to %d", name, least, most)
		return otherwise
	}
	return n
}

// list reads a list of at most limit entries; absent is none.
func (r *request) list(name, uri string, limit int) []any {
	v := r.dict[name]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) > limit {
		r.fail(uri, "%s: want a list of at most %d entries", name, limit)
		return nil
	}
	return list
}

// texts reads a list of strings.
func (r *request) texts(name, uri string, limit int) []string {
	list := r.list(name, uri, limit)
	texts := make([]string, 0, len(list))
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			r.fail(uri, "%s: %s", name, want("strings", v))
			return nil
		}
		texts = append(texts, s)
	}
	return texts
}

// timeRange reads [from, to), either of which may be absent.
func (r *request) timeRange() (from, to time.Time) {
	v := r.dict["timeRange"]
	if v == nil {
		return from, to
	}
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		r.fail(wire.ErrInvalidTimeRange, "timeRange: want [from, to], either of which may be null")
		return from, to
	}
	from, to = r.bound(list[0]), r.bound(list[1])
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		r.fail(wire.ErrInvalidTimeRange, "timeRange: it ends before it begins")
	}
	return from, to
}

// bound reads one end of a range. Clients send what JavaScript's Date reads, so a time without a zone is UTC.
func (r *request) bound(v any) time.Time {
	if v == nil {
		return time.Time{}
	}
	if s, ok := v.(string); ok {
		for _, layout := range boundLayouts {
			if t, err := time.Parse(layout, s); err == nil {
				return t.UTC()
			}
		}
	} else if f, ok := asFloat(v); ok && math.Abs(f) < float64(maxTime.UnixMilli()) && f > float64(minTime.UnixMilli()) {
		return time.UnixMicro(int64(math.Round(f * 1000))).UTC()
	}
	r.fail(wire.ErrInvalidTimeRange, "timeRange: want epoch milliseconds or ISO 8601, have %s", describe(v))
	return time.Time{}
}

var boundLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly, "2006-01", "2006",
}

// ParseRefused reads what a caller of databackend.errors.<table> gave as args[0]: how many refusals it wants.
func ParseRefused(raw any) (limit int, err error) {
	r := newRequest(raw, "limit")
	n := r.integer("limit", wire.ErrInvalidLimit, 1, maxRefusals, 100)
	return int(n), r.err
}
