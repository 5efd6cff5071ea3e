package databackend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type dict = map[string]any

func filter(column, operator string, value any) dict {
	return dict{"column": column, "operator": operator, "value": value}
}

func TestAHistoryRequestThatIsWrongIsRefusedWithItsURI(t *testing.T) {
	t.Parallel()
	nested := filter("n", "=", uint64(1))
	for range 9 {
		nested = dict{"combinator": "AND", "filters": []any{nested}}
	}
	for name, c := range map[string]struct {
		request any
		uri     string
		want    string
	}{
		"a text":              {"all", "wamp.error.invalid_argument", "args[0]: want an object, have a string"},
		"unknown property":    {dict{"limits": uint64(1)}, "wamp.error.invalid_argument", `"limits": unknown property; known here: limit`},
		"limit 0":             {dict{"limit": uint64(0)}, wire.ErrInvalidLimit, "limit: want an integer from 1 to 10000"},
		"limit 10001":         {dict{"limit": uint64(10001)}, wire.ErrInvalidLimit, "limit"},
		"limit of text":       {dict{"limit": "5"}, wire.ErrInvalidLimit, "limit"},
		"limit 1.5":           {dict{"limit": 1.5}, wire.ErrInvalidLimit, "limit"},
		"offset -1":           {dict{"offset": int64(-1)}, wire.ErrInvalidLimit, "offset"},
		"range of one":        {dict{"timeRange": []any{uint64(1)}}, wire.ErrInvalidTimeRange, "timeRange: want [from, to]"},
		"range of words":      {dict{"timeRange": []any{"yesterday", nil}}, wire.ErrInvalidTimeRange, "timeRange: want epoch milliseconds or ISO 8601"},
		"range backwards":     {dict{"timeRange": []any{uint64(2), uint64(1)}}, wire.ErrInvalidTimeRange, "timeRange: it ends before it begins"},
		"unknown column":      {dict{"columns": []any{"m"}}, "wamp.error.invalid_argument", `columns: the table has no column "m"`},
		"columns of numbers":  {dict{"columns": []any{uint64(1)}}, "wamp.error.invalid_argument", "columns: want strings"},
		"filter of text":      {dict{"filterAnd": "n = 1"}, wire.ErrInvalidFilter, "filterAnd: want a list"},
		"filter column":       {dict{"filterAnd": []any{filter("m", "=", uint64(1))}}, wire.ErrInvalidFilter, `filterAnd: the table has no column "m"`},
		"filter operator":     {dict{"filterAnd": []any{filter("n", "~", uint64(1))}}, wire.ErrInvalidFilter, "filterAnd: operator: want one of"},
		"filter type":         {dict{"filterAnd": []any{filter("n", "=", "1")}}, wire.ErrInvalidFilter, "filterAnd: n: want an integer, have a string"},
		"filter null":         {dict{"filterAnd": []any{filter("n", "=", nil)}}, wire.ErrInvalidFilter, "filterAnd: n: want a value"},
		"LIKE of a number":    {dict{"filterAnd": []any{filter("n", "LIKE", "1")}}, wire.ErrInvalidFilter, "filterAnd: n: LIKE is for strings"},
		"IN of one":           {dict{"filterAnd": []any{filter("n", "IN", uint64(1))}}, wire.ErrInvalidFilter, "filterAnd: n: IN takes a list"},
		"IN of mixed":         {dict{"filterAnd": []any{filter("n", "IN", []any{uint64(1), "x"})}}, wire.ErrInvalidFilter, "filterAnd: n: IN: a value does not fit"},
		"filter extra":        {dict{"filterAnd": []any{dict{"column": "n", "operator": "IS NULL", "or": true}}}, wire.ErrInvalidFilter, `filterAnd: "or": unknown property here`},
		"group and test":      {dict{"filterAnd": []any{dict{"column": "n", "combinator": "OR", "filters": []any{filter("n", "=", uint64(1))}}}}, wire.ErrInvalidFilter, "filterAnd: a group is {combinator, filters}"},
		"group of XOR":        {dict{"filterAnd": []any{dict{"combinator": "XOR", "filters": []any{filter("n", "=", uint64(1))}}}}, wire.ErrInvalidFilter, "filterAnd: combinator: want AND or OR"},
		"latest in a group":   {dict{"filterAnd": []any{dict{"combinator": "OR", "filters": []any{dict{"latest": true}}}}}, wire.ErrInvalidFilter, `filterAnd: "latest": unknown property here`},
		"nested too deep":     {dict{"filterAnd": []any{nested}}, wire.ErrInvalidFilter, "filterAnd: more than 64 conditions, or nested deeper than 8"},
		"too many in a group": {dict{"filterAnd": []any{dict{"combinator": "OR", "filters": slices.Repeat([]any{filter("n", "=", uint64(1))}, 64)}}}, wire.ErrInvalidFilter, "filterAnd: more than 64"},
		"too many":            {dict{"filterAnd": slices.Repeat([]any{filter("n", "=", uint64(1))}, 65)}, wire.ErrInvalidFilter, "filterAnd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := databackend.ParseQuery(tableOf(t, "plain"), c.request)
			if errs.URIOf(err) != c.uri || !strings.HasPrefix(errs.UserText(err), c.want) || errs.KindOf(err) != wire.Invalid {
				t.Errorf("got %q (%s), want %q (%s)", errs.UserText(err), errs.URIOf(err), c.want, c.uri)
			}
		})
	}
}

// A message of commas alone would otherwise become many times as large. It measures, so nothing runs beside it.
func TestAListWrittenAsTextIsReadNoFurtherThanItMayBeLong(t *testing.T) { //nolint:paralleltest // see above
	table, text := tableOf(t, "plain"), strings.Repeat(",", 200_000)
	allocations := testing.AllocsPerRun(1, func() {
		_, err := databackend.ParseQuery(table, dict{"filterAnd": []any{filter("n", "IN", text)}})
		if errs.URIOf(err) != wire.ErrInvalidFilter {
			t.Errorf("%v", err)
		}
	})
	if allocations > 20_000 {
		t.Errorf("it took %v allocations", allocations)
	}
}

func TestASeriesRequestThatIsWrongIsRefusedWithItsURI(t *testing.T) {
	t.Parallel()
	avg := dict{"ref": "f", "method": "AVG"}
	good := func(change dict) dict {
		request := dict{"metrics": []any{avg}, "timeRange": []any{uint64(0), uint64(1000)}}
		for k, v := range change {
			request[k] = v
		}
		return request
	}
	for name, c := range map[string]struct {
		change dict
		uri    string
	}{
		"no metrics":         {dict{"metrics": nil}, wire.ErrInvalidMetric},
		"empty metrics":      {dict{"metrics": []any{}}, wire.ErrInvalidMetric},
		"unknown ref":        {dict{"metrics": []any{dict{"ref": "m", "method": "AVG"}}}, wire.ErrInvalidMetric},
		"unknown method":     {dict{"metrics": []any{dict{"ref": "f", "method": "avg"}}}, wire.ErrInvalidMetric},
		"average of strings": {dict{"metrics": []any{dict{"ref": "s", "method": "AVG"}}}, wire.ErrInvalidMetric},
		"least boolean":      {dict{"metrics": []any{dict{"ref": "b", "method": "MIN"}}}, wire.ErrInvalidMetric},
		"first of json":      {dict{"metrics": []any{dict{"ref": "j", "method": "FIRST"}}}, wire.ErrInvalidMetric},
		"average of tsp":     {dict{"metrics": []any{dict{"ref": "tsp", "method": "AVG"}}}, wire.ErrInvalidMetric},
		"metric with more":   {dict{"metrics": []any{dict{"ref": "f", "method": "AVG", "as": "x"}}}, wire.ErrInvalidMetric},
		"metric of text":     {dict{"metrics": []any{"AVG:f"}}, wire.ErrInvalidMetric},
		"no range":           {dict{"timeRange": nil}, wire.ErrInvalidTimeRange},
		"no start":           {dict{"timeRange": []any{nil, uint64(5)}}, wire.ErrInvalidTimeRange},
		"nothing between":    {dict{"timeRange": []any{uint64(5), uint64(5)}}, wire.ErrInvalidTimeRange},
		"start after now":    {dict{"timeRange": []any{uint64(now.Add(time.Hour).UnixMilli()), nil}}, wire.ErrInvalidTimeRange},
		"limit":              {dict{"limit": uint64(10001)}, wire.ErrInvalidLimit},
		"bucket too small":   {dict{"bucketMs": uint64(999)}, "wamp.error.invalid_argument"},
		"group by unknown":   {dict{"groupBy": []any{"m"}}, wire.ErrInvalidGroupBy},
		"group by tsp":       {dict{"groupBy": []any{"tsp"}}, wire.ErrInvalidGroupBy},
		"group by json":      {dict{"groupBy": []any{"j"}}, wire.ErrInvalidGroupBy},
		"group by metric":    {dict{"groupBy": []any{"f"}}, wire.ErrInvalidGroupBy},
		"group by many":      {dict{"groupBy": slices.Repeat([]any{"s"}, 9)}, wire.ErrInvalidGroupBy},
		"latest":             {dict{"filterAnd": []any{dict{"latest": true}}}, wire.ErrInvalidFilter},
		"unknown property":   {dict{"bucket": uint64(1)}, "wamp.error.invalid_argument"},
	} {
		if _, err := databackend.ParseSeries(tableOf(t, "t"), good(c.change), now); errs.URIOf(err) != c.uri {
			t.Errorf("%s: got %v (%s), want %s", name, err, errs.URIOf(err), c.uri)
		}
	}
	if _, err := databackend.ParseSeries(tableOf(t, "t"), good(nil), now); err != nil {
		t.Errorf("a right one: %v", err)
	}
}

func TestASeriesHasAtMostAsManyBucketsAsAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spanMs, limit, bucketMs uint64
		want                    time.Duration
	}{
		{1000, 10, 0, 100 * time.Millisecond},
		{1001, 10, 0, 101 * time.Millisecond},
		{3, 10, 0, time.Millisecond},
		{3_600_000, 60, 60_000, time.Minute},
		{3_600_001, 60, 60_000, 2 * time.Minute},
		{10_000, 1, 1000, 10 * time.Second},
	} {
		request := dict{"metrics": []any{dict{"ref": "f", "method": "SUM"}}, "timeRange": []any{uint64(0), c.spanMs}, "limit": c.limit}
		if c.bucketMs > 0 {
			request["bucketMs"] = c.bucketMs
		}
		s, err := databackend.ParseSeries(tableOf(t, "t"), request, now)
		if err != nil || s.Bucket != c.want {
			t.Errorf("%+v: got %s, %v", c, s.Bucket, err)
		}
	}
}

func TestTheFormsThatClientsSendAreUnderstood(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "plain")
	for name, c := range map[string]struct {
		request any
		check   func(q databackend.Query) bool
	}{
		"nothing":     {nil, func(q databackend.Query) bool { return q.Limit == 10 && len(q.Columns) == 4 && q.Where.IsZero() }},
		"latest":      {dict{"filterAnd": []any{dict{"latest": true, "column": "", "operator": "=", "value": "", "dataType": "boolean"}}}, func(q databackend.Query) bool { return q.Latest && q.Where.IsZero() }},
		"latest_flag": {dict{"filterAnd": []any{filter("latest_flag", "=", true)}}, func(q databackend.Query) bool { return q.Latest }},
		"IN with commas": {dict{"filterAnd": []any{filter("n", "IN", "1,2, 3")}}, func(q databackend.Query) bool {
			return cmp.Equal(q.Where.All[0].Value, []any{int64(1), int64(2), int64(3)})
		}},
		"a fraction": {dict{"filterAnd": []any{filter("n", "!=", 1.5)}}, func(q databackend.Query) bool {
			return q.Where.All[0].Value == 1.5 && q.Where.All[0].Operator == databackend.NotEqual
		}},
		"a date": {dict{"timeRange": []any{"2026-07-01", "2026-07-01T12:30"}}, func(q databackend.Query) bool { return q.To.Sub(q.From) == 12*time.Hour+30*time.Minute }},
		"nulls":  {dict{"limit": nil, "offset": nil, "timeRange": nil, "filterAnd": nil, "columns": nil}, func(q databackend.Query) bool { return q.Limit == 10 }},
		"columns, ordered": {dict{"columns": []any{"n", "authid", "n"}}, func(q databackend.Query) bool {
			return fmt.Sprint(q.Columns) == "[{n bigint} {authid string} {tsp timestamp} {device_key bigint}]"
		}},
	} {
		q, err := databackend.ParseQuery(table, c.request)
		if err != nil || !c.check(q) {
			t.Errorf("%s: got %+v, %v", name, q, err)
		}
	}
}

// reading is a Reader of rows that are there already.
type reading struct {
	rows   []wire.Row
	asked  []databackend.Query
	served []databackend.Series
	hold   chan struct{} // closed: go on
	inside chan struct{} // a token for each query that has begun
}

func (r *reading) Rows(ctx context.Context, _ databackend.Placement, q databackend.Query, each func(wire.Row) error) error {
	if r.hold != nil {
		r.inside <- struct{}{}
		<-r.hold
		return nil
	}
	r.asked = append(r.asked, q)
	for _, row := range r.rows {
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) Series(_ context.Context, _ databackend.Placement, s databackend.Series, each func(wire.Row) error) error {
	r.served = append(r.served, s)
	for _, row := range r.rows {
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

func historyOf(t testing.TB, r databackend.Reader, template string) *databackend.History {
	parsed, err := databackend.ParseTemplate("t.yaml", []byte(template))
	if err != nil {
		t.Fatal(err)
	}
	return databackend.NewHistory(r, databackend.Installation{Template: parsed})
}

func TestALargeResultGoesOutInChunksNewestFirstAndIsRefusedWithoutProgress(t *testing.T) {
	t.Parallel()
	r := &reading{}
	for i := range 40 {
		r.rows = append(r.rows, wire.Row{"tsp": uint64(1000 - i), "s": strings.Repeat("x", 1<<20)})
	}
	h := historyOf(t, r, rowTemplate)
	if _, err := h.Query(t.Context(), "t", databackend.Caller{}, nil); errs.URIOf(err) != wire.ErrResultTooLarge {
		t.Errorf("without progress: %v", err)
	}
	var chunks [][]wire.Row
	got, err := h.Query(t.Context(), "t", databackend.Caller{Chunk: func(index int, rows []wire.Row) error {
		if index != len(chunks) {
			t.Errorf("chunk %d comes as number %d", index, len(chunks))
		}
		chunks = append(chunks, rows)
		return nil
	}}, nil)
	if want := (databackend.Chunked{Chunked: true, ChunkCount: len(chunks), TotalRows: 40, Order: "asc"}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if len(chunks) < 5 || len(chunks) > 7 {
		t.Errorf("40 MiB in %d chunks", len(chunks))
	}
	if !cmp.Equal(slices.Concat(chunks...), r.rows) {
		t.Error("the chunks are not the rows, newest first")
	}
	gone := errors.New("the caller is gone")
	if _, err := h.Query(t.Context(), "t", databackend.Caller{Chunk: func(int, []wire.Row) error { return gone }}, nil); !errors.Is(err, gone) {
		t.Errorf("a caller that is gone: %v", err)
	}
}

func TestASmallResultIsAscending(t *testing.T) {
	t.Parallel()
	h := historyOf(t, &reading{rows: []wire.Row{{"tsp": uint64(2)}, {"tsp": uint64(1)}}}, rowTemplate)
	got, err := h.Query(t.Context(), "t", databackend.Caller{}, nil)
	if diff := cmp.Diff([]wire.Row{{"tsp": uint64(1)}, {"tsp": uint64(2)}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	none, err := historyOf(t, &reading{}, rowTemplate).Query(t.Context(), "t", databackend.Caller{}, nil)
	if rows, ok := none.([]wire.Row); !ok || rows == nil || err != nil {
		t.Errorf("no rows are %#v, %v: clients want an empty list", none, err)
	}
}

func TestARowLargerThanAMessageIsRefusedEvenInChunks(t *testing.T) {
	t.Parallel()
	h := historyOf(t, &reading{rows: []wire.Row{{"s": strings.Repeat("x", 9<<20)}}}, rowTemplate)
	if _, err := h.Query(t.Context(), "t", databackend.Caller{Chunk: func(int, []wire.Row) error { return nil }}, nil); errs.URIOf(err) != wire.ErrResultTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestADeviceReadsItsOwnRowsOfAPrivateTable(t *testing.T) {
	t.Parallel()
	r := &reading{}
	h := historyOf(t, r, strings.Replace(rowTemplate, "tablename: plain", "tablename: plain\n      private: true", 1))
	series := dict{"metrics": []any{dict{"ref": "n", "method": "SUM"}}, "timeRange": []any{uint64(0), nil}}
	for _, by := range []databackend.Caller{{Device: 5}, {}} {
		if _, err := h.Query(t.Context(), "plain", by, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Series(t.Context(), "plain", by, series); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Query(t.Context(), "t", by, nil); err != nil {
			t.Fatal(err)
		}
	}
	var devices []wire.Key
	for _, q := range r.asked {
		devices = append(devices, q.Device)
	}
	for _, s := range r.served {
		devices = append(devices, s.Device)
	}
	if diff := cmp.Diff([]wire.Key{5, 0, 0, 0, 5, 0}, devices); diff != "" {
		t.Error(diff)
	}
}

func TestTooManyGroupsAreRefused(t *testing.T) {
	t.Parallel()
	r := &reading{rows: slices.Repeat([]wire.Row{{"tsp": uint64(1)}}, databackend.MaxSeriesRows+1)}
	h := historyOf(t, r, rowTemplate)
	request := dict{"metrics": []any{dict{"ref": "f", "method": "SUM"}}, "timeRange": []any{uint64(0), nil}}
	if _, err := h.Series(t.Context(), "t", databackend.Caller{}, request); errs.URIOf(err) != wire.ErrSeriesTooManyGroups {
		t.Errorf("got %v", err)
	}
}

func TestQueriesOfOneInstallationWaitForEachOtherAndAreRefusedInTheEnd(t *testing.T) {
	t.Parallel()
	r := &reading{hold: make(chan struct{}), inside: make(chan struct{}, 1000)}
	h := historyOf(t, r, rowTemplate)
	results := make(chan error, 1000)
	ask := func() {
		_, err := h.Query(t.Context(), "t", databackend.Caller{}, nil)
		results <- err
	}
	const most = 4 + 64
	for range most + 10 {
		go ask()
	}
	for range 10 {
		if err := <-results; errs.URIOf(err) != wire.ErrRateLimited {
			t.Fatalf("got %v", err)
		}
	}
	if len(r.inside) > 4 {
		t.Errorf("%d run at once", len(r.inside))
	}
	close(r.hold)
	for range most {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestATableThatDoesNotExistHasItsURI(t *testing.T) {
	t.Parallel()
	h := historyOf(t, &reading{}, rowTemplate)
	for _, ask := range []func(context.Context, string, databackend.Caller, any) (any, error){h.Query, h.Series} {
		if _, err := ask(t.Context(), "nowhere", databackend.Caller{}, nil); errs.URIOf(err) != wire.ErrNoSuchTable {
			t.Errorf("got %v", err)
		}
	}
}
