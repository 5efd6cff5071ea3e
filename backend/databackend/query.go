package databackend

import (
	"slices"
	"time"

	"bulkhead/wire"
)

// Limits of one query.
const (
	MaxHistoryRows     = 10_000
	MaxSeriesRows      = 50_000
	defaultHistoryRows = 10
	defaultBuckets     = 1000
	maxOffset          = 1 << 31
	maxMetrics         = 32
	maxGroups          = 8
	minBucket          = time.Second
)

// Selection is which rows of a table a query is about.
type Selection struct {
	Table  Table
	From   time.Time // zero: from the first
	To     time.Time // exclusive; zero: to the last
	Where  Condition // the zero Condition lets all through
	Device wire.Key  // not zero: the rows of this device only
}

// Query asks for stored rows: the newest Limit after Offset.
type Query struct {
	Selection
	// Latest asks for the newest row of each entity; time range and conditions then choose among those.
	Latest  bool
	Columns []Ref // in the order of the answer
	Limit   int
	Offset  int
}

// Ref is a column that exists, declared or common to all tables.
type Ref struct {
	ID   string
	Type DataType
}

// Ref finds a column by its id, those that every table has among them.
func (t Table) Ref(id string) (Ref, bool) {
	switch id {
	case ColumnDevice:
		return Ref{id, BigInt}, true
	case ColumnAuthID:
		return Ref{id, String}, true
	}
	c, ok := t.Column(id)
	return Ref{c.ID, c.Type}, ok
}

// Entity gives the columns that name an entity: the declared ones, else the device.
func (t Table) Entity() []string {
	if len(t.EntityKey) > 0 {
		return t.EntityKey
	}
	return []string{ColumnDevice}
}

// ParseQuery reads what a caller of history.transformed.<table> gave as args[0].
func ParseQuery(t Table, raw any) (Query, error) {
	r := newRequest(raw, "limit", "offset", "timeRange", "filterAnd", "columns")
	q := Query{Selection: Selection{Table: t}}
	q.Limit = int(r.integer("limit", wire.ErrInvalidLimit, 1, MaxHistoryRows, defaultHistoryRows))
	q.Offset = int(r.integer("offset", wire.ErrInvalidLimit, 0, maxOffset, 0))
	q.From, q.To = r.timeRange()
	q.Where, q.Latest = r.filters(t)
	q.Columns = r.columns(t)
	return q, r.err
}

// columns reads which columns are wanted. tsp and who published a row are always among them.
func (r *request) columns(t Table) []Ref {
	ids := r.texts("columns", "", MaxColumns+2)
	if len(ids) == 0 {
		ids = make([]string, 0, len(t.Columns)+2)
		for _, c := range t.Columns {
			ids = append(ids, c.ID)
		}
	}
	var refs []Ref
	for _, id := range append(ids, ColumnTime, ColumnDevice, ColumnAuthID) {
		ref, ok := t.Ref(id)
		switch {
		case id == ColumnLatestFlag: // clients may ask for it; it is no column
		case !ok:
			r.fail("", "columns: the table has no column %s", clip(id))
		case !slices.Contains(refs, ref):
			refs = append(refs, ref)
		}
	}
	return refs
}

// Series asks for aggregates of rows in time buckets, aligned to the start of the range.
type Series struct {
	Selection
	Bucket  time.Duration // whole milliseconds
	Metrics []Metric
	GroupBy []Ref
}

// Metric is one aggregate of one column.
type Metric struct {
	Ref
	Method Method
}

// Column is the metric's name in the answer.
func (m Metric) Column() string { return string(m.Method) + ":" + m.ID }

// Method is how values of a bucket become one.
type Method string

// The methods. There are no others.
const (
	Avg   Method = "AVG"
	Sum   Method = "SUM"
	Count Method = "COUNT" // of values that are not null; of tsp: rows
	Min   Method = "MIN"
	Max   Method = "MAX"
	First Method = "FIRST" // of the earliest row
	Last  Method = "LAST"  // of the latest row
)

var methods = []Method{Avg, Sum, Count, Min, Max, First, Last}

// ParseSeries reads what a caller of history.transformed.series.<table> gave as args[0]. now ends a range without an end.
func ParseSeries(t Table, raw any, now time.Time) (Series, error) {
	r := newRequest(raw, "metrics", "limit", "timeRange", "bucketMs", "groupBy", "filterAnd")
	s := Series{Selection: Selection{Table: t}}
	buckets := r.integer("limit", wire.ErrInvalidLimit, 1, MaxHistoryRows, defaultBuckets)
	width := r.integer("bucketMs", "", minBucket.Milliseconds(), maxInterval.Milliseconds(), 0)
	s.From, s.To = r.timeRange()
	if s.To.IsZero() {
		s.To = now.UTC()
	}
	if s.From.IsZero() || !s.From.Before(s.To) {
		r.fail(wire.ErrInvalidTimeRange, "timeRange: want a range with a start, and an end after it")
	}
	s.Bucket = bucketWidth(s.To.Sub(s.From), time.Duration(width)*time.Millisecond, buckets)
	s.Metrics = r.metrics(t)
	s.GroupBy = r.groupBy(t, s.Metrics)
	latest := false
	if s.Where, latest = r.filters(t); latest {
		r.fail(wire.ErrInvalidFilter, "filterAnd: a series has no latest rows")
	}
	return s, r.err
}

// bucketWidth gives the width of at most so many buckets: a multiple of the wanted one, or the range in equal parts.
func bucketWidth(span, wanted time.Duration, buckets int64) time.Duration {
	if wanted <= 0 {
		wanted = time.Millisecond
	}
	n := int64((span + wanted - 1) / wanted) // how many it takes
	return wanted * time.Duration(max(1, (n+buckets-1)/buckets))
}

func (r *request) metrics(t Table) []Metric {
	list := r.list("metrics", wire.ErrInvalidMetric, maxMetrics)
	if len(list) == 0 {
		r.fail(wire.ErrInvalidMetric, "metrics: want at least one {ref, method}")
	}
	var metrics []Metric
	for _, v := range list {
		m, reason := metricOf(t, v)
		if reason != "" {
			r.fail(wire.ErrInvalidMetric, "metrics: %s", reason)
			return nil
		}
		if !slices.Contains(metrics, m) {
			metrics = append(metrics, m)
		}
	}
	return metrics
}

func metricOf(t Table, v any) (m Metric, reason string) {
	dict, _ := object(v)
	ref, _ := dict["ref"].(string)
	method, _ := dict["method"].(string)
	m = Metric{Method: Method(method)}
	var known bool
	if m.Ref, known = t.Ref(ref); !known {
		return m, "the table has no column " + clip(ref)
	}
	switch {
	case len(dict) != 2:
		return m, "want {ref, method} and nothing else"
	case !slices.Contains(methods, m.Method):
		return m, "method: want one of " + joined(methods)
	case !m.defined():
		return m, string(m.Method) + " is not defined for " + m.ID + ", which is " + string(m.Type)
	}
	return m, ""
}

// defined reports whether the method has a meaning for the column.
func (m Metric) defined() bool {
	if m.ID == ColumnTime {
		return m.Method == Count // it is the bucket
	}
	switch m.Method {
	case Avg, Sum:
		return m.Type == Numeric || m.Type == BigInt
	case Min, Max:
		return m.Type != Boolean && m.Type != JSON
	case First, Last:
		return m.Type != JSON
	default:
		return true
	}
}

func (r *request) groupBy(t Table, metrics []Metric) []Ref {
	var groups []Ref
	for _, id := range r.texts("groupBy", wire.ErrInvalidGroupBy, maxGroups) {
		ref, ok := t.Ref(id)
		switch {
		case !ok:
			r.fail(wire.ErrInvalidGroupBy, "groupBy: the table has no column %s", clip(id))
		case id == ColumnTime || ref.Type == JSON:
			r.fail(wire.ErrInvalidGroupBy, "groupBy: rows cannot be grouped by %s", id)
		case slices.ContainsFunc(metrics, func(m Metric) bool { return m.ID == id }):
			r.fail(wire.ErrInvalidGroupBy, "groupBy: %s is a metric too", id)
		case !slices.Contains(groups, ref):
			groups = append(groups, ref)
		}
	}
	return groups
}
