package databackend

import (
	"context"
	"slices"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Reader answers queries from the database.
type Reader interface {
	// Rows calls each with every row of the answer, the newest first, until each fails.
	Rows(ctx context.Context, p Placement, q Query, each func(wire.Row) error) error
	// Series calls each with every bucket of the answer, the newest first, until each fails.
	Series(ctx context.Context, p Placement, s Series, each func(wire.Row) error) error
}

const (
	maxResult      = 8 << 20   // bytes of one message
	maxTotalResult = 256 << 20 // bytes of one answer in chunks
	historySlots   = 4         // queries of one installation that run at once
	historyWaiting = 64        // queries of one installation that wait for that
)

// History answers the queries of one installation. Only so many run at once, so that no installation takes the
// connections of all.
type History struct {
	reader  Reader
	inst    Installation
	slots   chan struct{}
	waiting chan struct{}
	now     func() time.Time
	limit   int // maxResult, unless a test says less
}

// NewHistory makes the history of an installation.
func NewHistory(r Reader, inst Installation) *History {
	return &History{
		reader: r, inst: inst, now: time.Now, limit: maxResult,
		slots: make(chan struct{}, historySlots), waiting: make(chan struct{}, historySlots+historyWaiting),
	}
}

// Caller is who asks, as the router knows it.
type Caller struct {
	// Device is the calling device; zero for services and consoles, which belong to the installation as a whole.
	Device wire.Key
	// Chunk sends part of a large answer ahead of it; nil where the caller does not look at progress.
	Chunk func(index int, rows []wire.Row) error
}

// Chunked ends an answer that went ahead in chunks. Their rows, put together and reversed, are the answer.
type Chunked struct {
	Chunked    bool   `json:"chunked"`
	ChunkCount int    `json:"chunkCount"`
	TotalRows  int    `json:"totalRows"`
	Order      string `json:"order"`
}

// Query answers history.transformed.<table>: []wire.Row ascending in time, or Chunked.
func (h *History) Query(ctx context.Context, table string, by Caller, raw any) (any, error) {
	t, ok := h.inst.Template.Table(table)
	if !ok {
		return nil, noSuchTable()
	}
	q, err := ParseQuery(t, raw)
	if err != nil {
		return nil, err
	}
	q.Device = visible(t, by)
	return h.answer(ctx, by, func(each func(wire.Row) error) error { return h.reader.Rows(ctx, h.inst.Placement, q, each) })
}

// Series answers history.transformed.series.<table>: []wire.Row ascending in time, or Chunked.
func (h *History) Series(ctx context.Context, table string, by Caller, raw any) (any, error) {
	t, ok := h.inst.Template.Table(table)
	if !ok {
		return nil, noSuchTable()
	}
	s, err := ParseSeries(t, raw, h.now())
	if err != nil {
		return nil, err
	}
	s.Device = visible(t, by)
	n := 0
	return h.answer(ctx, by, func(each func(wire.Row) error) error {
		return h.reader.Series(ctx, h.inst.Placement, s, func(row wire.Row) error {
			if n++; n > MaxSeriesRows {
				return tooManyGroups()
			}
			return each(row)
		})
	})
}

func tooManyGroups() error {
	e := errs.E(wire.Exhausted, "the series has more than %d rows: ask for fewer buckets, less time or other groups", MaxSeriesRows)
	e.URI = wire.ErrSeriesTooManyGroups
	return e
}

// visible gives the device whose rows alone a caller may see; zero is all. A private table's rows are their device's, and
// of the installation's own services and consoles. This is a trust boundary: by.Device comes from the session.
func visible(t Table, by Caller) wire.Key {
	if t.Private {
		return by.Device
	}
	return 0
}

// answer runs a query when there is a slot for it and gives its rows in the form that the caller can take.
func (h *History) answer(ctx context.Context, by Caller, run func(each func(wire.Row) error) error) (any, error) {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return nil, rateLimited("too many queries at once", time.Second)
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a := &answer{limit: h.limit, send: by.Chunk}
	if err := run(a.add); err != nil {
		return nil, err
	}
	return a.finish()
}

// answer gathers rows that come newest first.
type answer struct {
	limit  int
	send   func(index int, rows []wire.Row) error
	rows   []wire.Row
	bytes  int // of rows
	chunks int
	total  int // rows
	sent   int // bytes
}

func (a *answer) add(row wire.Row) error {
	size := sizeOnWire(map[string]any(row)) + 1
	if size > a.limit || a.sent+a.bytes+size > maxTotalResult {
		return resultTooLarge("ask for less time, fewer rows or fewer columns")
	}
	if a.bytes+size > a.limit {
		if err := a.flush(); err != nil {
			return err
		}
	}
	a.rows, a.bytes, a.total = append(a.rows, row), a.bytes+size, a.total+1
	return nil
}

// flush sends a chunk.
func (a *answer) flush() error {
	if a.send == nil {
		return resultTooLarge("ask for less, or for progressive results")
	}
	if err := a.send(a.chunks, a.rows); err != nil {
		return err
	}
	a.sent += a.bytes
	a.chunks, a.rows, a.bytes = a.chunks+1, nil, 0
	return nil
}

func (a *answer) finish() (any, error) {
	if a.chunks == 0 {
		slices.Reverse(a.rows)
		if a.rows == nil {
			return []wire.Row{}, nil
		}
		return a.rows, nil
	}
	if err := a.flush(); err != nil {
		return nil, err
	}
	return Chunked{Chunked: true, ChunkCount: a.chunks, TotalRows: a.total, Order: "asc"}, nil
}

func resultTooLarge(advice string) error {
	e := errs.E(wire.Exhausted, "the result is larger than %d MiB: %s", maxResult>>20, advice)
	e.URI = wire.ErrResultTooLarge
	return e
}

// sizeOnWire is how many bytes a value takes as JSON, which is the longest of the serializers for what rows hold, or a
// little more.
func sizeOnWire(v any) int {
	switch v := v.(type) {
	case nil, bool:
		return 5
	case string:
		return textSize(v)
	case []any:
		n := 2
		for _, e := range v {
			n += sizeOnWire(e) + 1
		}
		return n
	case map[string]any:
		n := 2
		for k, e := range v {
			n += textSize(k) + sizeOnWire(e) + 2
		}
		return n
	default:
		return 24 // a number
	}
}

// textSize counts what JSON escapes at the length of the longest escape.
func textSize(s string) int {
	n := len(s) + 2
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f {
			n += 5
		}
	}
	return n
}
