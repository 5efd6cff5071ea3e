package db_test

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/backend/databackend"
	"bulkhead/wire"
)

// The oracle: the same questions answered from a slice, as plainly as can be.

type truth int // SQL's three values

const (
	no truth = iota
	unknown
	yes
)

func holds(c databackend.Condition, row map[string]any) truth {
	switch {
	case c.Operator == "" && len(c.Any) > 0:
		best := no
		for _, o := range c.Any {
			best = max(best, holds(o, row))
		}
		return best
	case c.Operator == "":
		worst := yes
		for _, o := range c.All {
			worst = min(worst, holds(o, row))
		}
		return worst
	}
	v := row[c.Ref.ID]
	switch c.Operator {
	case databackend.IsNull:
		return truthOf(v == nil)
	case databackend.NotNull:
		return truthOf(v != nil)
	case databackend.In, databackend.NotIn:
		list := c.Value.([]any)
		if len(list) == 0 {
			return truthOf(c.Operator == databackend.NotIn)
		}
		if v == nil {
			return unknown
		}
		return truthOf(slices.ContainsFunc(list, func(o any) bool { return compare(v, o) == 0 }) == (c.Operator == databackend.In))
	}
	if v == nil {
		return unknown
	}
	switch c.Operator {
	case databackend.Equal:
		return truthOf(compare(v, c.Value) == 0)
	case databackend.NotEqual:
		return truthOf(compare(v, c.Value) != 0)
	case databackend.Less:
		return truthOf(compare(v, c.Value) < 0)
	case databackend.LessEqual:
		return truthOf(compare(v, c.Value) <= 0)
	case databackend.Greater:
		return truthOf(compare(v, c.Value) > 0)
	case databackend.GreaterEqual:
		return truthOf(compare(v, c.Value) >= 0)
	}
	pattern := regexp.QuoteMeta(c.Value.(string))
	pattern = "(?s)^" + strings.NewReplacer("%", ".*", "_", ".").Replace(pattern) + "$"
	if c.Operator == databackend.ILike || c.Operator == databackend.NotILike {
		pattern = "(?i)" + pattern
	}
	return truthOf(regexp.MustCompile(pattern).MatchString(v.(string)) == (c.Operator == databackend.Like || c.Operator == databackend.ILike))
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func compare(a, b any) int {
	switch a := a.(type) {
	case float64:
		return cmp.Compare(a, b.(float64))
	case int64:
		if f, ok := b.(float64); ok {
			return cmp.Compare(float64(a), f)
		}
		return cmp.Compare(a, b.(int64))
	case string:
		return cmp.Compare(a, b.(string))
	case bool:
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	panic(fmt.Sprintf("%T", a))
}

// cells gives a record's values by column.
func cells(t databackend.Table, r databackend.Record) map[string]any {
	row := map[string]any{"device_key": int64(r.Device), "authid": r.AuthID}
	for i, c := range t.Columns {
		row[c.ID] = r.Values[i]
	}
	return row
}

func oracleRows(t databackend.Table, records []databackend.Record, q databackend.Query) []wire.Row {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b databackend.Record) int {
		return -cmp.Or(a.Values[0].(time.Time).Compare(b.Values[0].(time.Time)), cmp.Compare(a.Seq, b.Seq))
	})
	entity := func(r databackend.Record) string {
		var key []any
		for _, id := range t.Entity() {
			key = append(key, cells(t, r)[id])
		}
		return fmt.Sprint(key...)
	}
	keep := func(r databackend.Record) bool {
		row := cells(t, r)
		at := r.Values[0].(time.Time)
		return !(at.Before(q.From)) && (q.To.IsZero() || at.Before(q.To)) && holds(databackend.Condition{All: q.Where.All}, row) == yes
	}
	ofEntity := func(c databackend.Condition) bool { return c.Operator != "" && slices.Contains(t.Entity(), c.Ref.ID) }
	var out []wire.Row
	seen := map[string]bool{}
	for _, r := range records {
		row := cells(t, r)
		if q.Device != 0 && r.Device != q.Device {
			continue
		}
		if q.Latest {
			chosen := !slices.ContainsFunc(t.Entity(), func(id string) bool { return row[id] == nil })
			for _, c := range q.Where.All {
				chosen = chosen && (!ofEntity(c) || holds(c, row) == yes)
			}
			if !chosen || seen[entity(r)] {
				continue
			}
			seen[entity(r)] = true
		}
		if !keep(r) {
			continue
		}
		full, picked := t.Row(r), wire.Row{}
		for _, ref := range q.Columns {
			picked[ref.ID] = full[ref.ID]
		}
		out = append(out, picked)
	}
	out = out[min(q.Offset, len(out)):]
	return out[:min(q.Limit, len(out))]
}

var (
	words     = []string{"", "a", "A", "ab", "a%b", `it's`, "ü", "x_y"}
	someWord  = rapid.SampledFrom(words)
	someFloat = rapid.SampledFrom([]float64{-1.5, 0, 1, 2.25, 1e300})
	someInt   = rapid.Int64Range(-2, 3)
	someTime  = rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "s")) * time.Second)
	})
)

func orNull[T any](t *rapid.T, g *rapid.Generator[T]) any {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return nil
	}
	return g.Draw(t, "value")
}

func someRecord(t *rapid.T, seq int64) databackend.Record {
	return databackend.Record{
		Device: wire.Key(rapid.IntRange(1, 3).Draw(t, "device")), AuthID: someWord.Draw(t, "authid"), Seq: seq,
		Values: []any{
			someTime.Draw(t, "tsp"), orNull(t, someFloat), orNull(t, someInt), orNull(t, someTime), orNull(t, someWord), orNull(t, rapid.Bool()), nil,
		},
	}
}

// someFilter draws a filter as a caller would send it.
func someFilter(t *rapid.T, depth int) map[string]any {
	if depth > 0 && rapid.IntRange(0, 3).Draw(t, "group") == 0 {
		var filters []any
		for range rapid.IntRange(1, 3).Draw(t, "filters") {
			filters = append(filters, someFilter(t, depth-1))
		}
		return map[string]any{"combinator": rapid.SampledFrom([]string{"AND", "OR"}).Draw(t, "combinator"), "filters": filters}
	}
	column := rapid.SampledFrom([]string{"tsp", "Temp", "n", "at", "label", "on", "device_key", "authid", "detail"}).Draw(t, "column")
	one := func() any {
		switch column {
		case "Temp":
			return someFloat.Draw(t, "v")
		case "n", "device_key":
			if rapid.Bool().Draw(t, "fraction") {
				return someFloat.Draw(t, "v")
			}
			return someInt.Draw(t, "v")
		case "tsp", "at":
			return someTime.Draw(t, "v").UnixMilli()
		case "on":
			return rapid.Bool().Draw(t, "v")
		}
		return someWord.Draw(t, "v")
	}
	f := map[string]any{"column": column}
	operators := []string{"IS NULL", "IS NOT NULL"}
	if column != "detail" {
		operators = append(operators, "=", "!=", "<>", "<", "<=", ">", ">=", "IN", "NOT IN")
	}
	if column == "label" || column == "authid" {
		// Which string comes first is the database's collation; the oracle knows equality.
		operators = []string{"IS NULL", "IS NOT NULL", "=", "!=", "IN", "NOT IN", "LIKE", "ILIKE", "NOT LIKE", "not ilike"}
	}
	operator := rapid.SampledFrom(operators).Draw(t, "operator")
	f["operator"] = operator
	switch operator {
	case "IN", "NOT IN":
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			v := one()
			if x, ok := v.(float64); ok && (column == "n" || column == "device_key") {
				v = math.Trunc(min(x, 100))
			}
			list = append(list, v)
		}
		f["value"] = list
	case "IS NULL", "IS NOT NULL":
	default:
		f["value"] = one()
	}
	return f
}

func someRequest(t *rapid.T) map[string]any {
	request := map[string]any{"limit": rapid.IntRange(1, 40).Draw(t, "limit")}
	var filters []any
	for range rapid.IntRange(0, 3).Draw(t, "filters") {
		filters = append(filters, someFilter(t, 2))
	}
	if rapid.Bool().Draw(t, "latest") {
		filters = append(filters, map[string]any{"latest": true})
	}
	request["filterAnd"] = filters
	if rapid.Bool().Draw(t, "range") {
		from, to := someTime.Draw(t, "from"), someTime.Draw(t, "to")
		if to.Before(from) {
			from, to = to, from
		}
		request["timeRange"] = []any{from.UnixMilli(), to.Format(time.RFC3339)}
	}
	if rapid.Bool().Draw(t, "offset") {
		request["offset"] = rapid.IntRange(0, 5).Draw(t, "offset")
	}
	if rapid.Bool().Draw(t, "columns") {
		request["columns"] = []any{rapid.SampledFrom([]string{"n", "label", "Temp"}).Draw(t, "column")}
	}
	return request
}

func TestHistoryAnswersAsAPlainLoopOverTheRowsWould(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	table := p.table("everything")
	entityTable := table
	entityTable.EntityKey = []string{"label", "n"}
	var records []databackend.Record
	seed := rapid.Custom(func(t *rapid.T) []databackend.Record {
		var all []databackend.Record
		for i := range int64(60) {
			all = append(all, someRecord(t, i))
		}
		return all
	})
	records = seed.Example(7)
	if err := p.write(t, "everything", records...); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		asked := rapid.SampledFrom([]databackend.Table{table, entityTable}).Draw(rt, "table")
		q, err := databackend.ParseQuery(asked, someRequest(rt))
		if err != nil {
			rt.Fatal(err)
		}
		q.Device = wire.Key(rapid.SampledFrom([]int{0, 0, 1}).Draw(rt, "device"))
		var got []wire.Row
		if err := p.history.Rows(t.Context(), p.placement, q, func(r wire.Row) error { got = append(got, r); return nil }); err != nil {
			rt.Fatal(err)
		}
		if diff := gocmp.Diff(oracleRows(asked, records, q), got); diff != "" && len(got)+len(oracleRows(asked, records, q)) > 0 {
			rt.Fatalf("the database answers otherwise (-loop +database):\n%s", diff)
		}
	})
}

// oracleSeries answers a series by a loop.
func oracleSeries(t databackend.Table, records []databackend.Record, q databackend.Series) map[string]wire.Row {
	type group struct {
		row     wire.Row
		members []databackend.Record
	}
	groups := map[string]*group{}
	for _, r := range records {
		at, row := r.Values[0].(time.Time), cells(t, r)
		if at.Before(q.From) || !at.Before(q.To) || holds(databackend.Condition{All: q.Where.All}, row) != yes {
			continue
		}
		out := wire.Row{"tsp": databackend.WireValue(q.From.Add(at.Sub(q.From) / q.Bucket * q.Bucket))}
		for _, g := range q.GroupBy {
			out[g.ID] = databackend.WireValue(row[g.ID])
		}
		key := fmt.Sprint(out)
		if groups[key] == nil {
			groups[key] = &group{row: out}
		}
		groups[key].members = append(groups[key].members, r)
	}
	all := map[string]wire.Row{}
	for key, g := range groups {
		slices.SortFunc(g.members, func(a, b databackend.Record) int {
			return cmp.Or(a.Values[0].(time.Time).Compare(b.Values[0].(time.Time)), cmp.Compare(a.Seq, b.Seq))
		})
		for _, m := range q.Metrics {
			g.row[m.Column()] = databackend.WireValue(aggregate(t, g.members, m))
		}
		all[key] = g.row
	}
	return all
}

func aggregate(t databackend.Table, members []databackend.Record, m databackend.Metric) any {
	var values []any
	for _, r := range members {
		if v := cells(t, r)[m.ID]; v != nil {
			values = append(values, v)
		}
	}
	switch m.Method {
	case databackend.Count:
		return int64(len(values))
	case databackend.First:
		return cells(t, members[0])[m.ID]
	case databackend.Last:
		return cells(t, members[len(members)-1])[m.ID]
	}
	if len(values) == 0 {
		return nil
	}
	switch m.Method {
	case databackend.Min:
		return slices.MinFunc(values, compare)
	case databackend.Max:
		return slices.MaxFunc(values, compare)
	}
	sum := 0.0
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			sum += float64(v)
		case float64:
			sum += v
		}
	}
	if m.Method == databackend.Avg {
		sum /= float64(len(values))
	}
	return sum
}

func TestSeriesAnswerAsAPlainLoopOverTheRowsWould(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	table := p.table("everything")
	records := rapid.Custom(func(t *rapid.T) []databackend.Record {
		var all []databackend.Record
		for i := range int64(80) {
			r := someRecord(t, (i-40)*1000)
			if f, ok := r.Values[1].(float64); ok && f > 1e9 {
				r.Values[1] = 7.5 // so that sums are exact in any order
			}
			all = append(all, r)
		}
		return all
	}).Example(3)
	if err := p.write(t, "everything", records...); err != nil {
		t.Fatal(err)
	}
	metric := rapid.SampledFrom([]map[string]any{
		{"ref": "Temp", "method": "AVG"}, {"ref": "Temp", "method": "MIN"}, {"ref": "n", "method": "SUM"}, {"ref": "n", "method": "MAX"},
		{"ref": "tsp", "method": "COUNT"}, {"ref": "label", "method": "COUNT"}, {"ref": "label", "method": "FIRST"}, {"ref": "label", "method": "LAST"},
		{"ref": "Temp", "method": "FIRST"}, {"ref": "n", "method": "LAST"}, {"ref": "on", "method": "LAST"}, {"ref": "at", "method": "FIRST"},
		{"ref": "at", "method": "MAX"}, {"ref": "detail", "method": "COUNT"}, {"ref": "device_key", "method": "MAX"},
	})
	rapid.Check(t, func(rt *rapid.T) {
		var metrics []any
		for range rapid.IntRange(1, 4).Draw(rt, "metrics") {
			metrics = append(metrics, metric.Draw(rt, "metric"))
		}
		request := map[string]any{
			"metrics": metrics, "limit": rapid.IntRange(1, 30).Draw(rt, "limit"),
			"timeRange": []any{noon.Add(-time.Duration(rapid.IntRange(1, 30_000).Draw(rt, "before")) * time.Millisecond).UnixMilli(), noon.Add(15 * time.Second).UnixMilli()},
			"filterAnd": []any{someFilter(rt, 1)},
		}
		if rapid.Bool().Draw(rt, "bucket") {
			request["bucketMs"] = rapid.SampledFrom([]int{1000, 3000, 60000}).Draw(rt, "bucketMs")
		}
		if rapid.Bool().Draw(rt, "grouped") {
			request["groupBy"] = []any{"authid"}
		}
		q, err := databackend.ParseSeries(table, request, noon)
		if err != nil {
			rt.Fatal(err)
		}
		got, last := map[string]wire.Row{}, uint64(math.MaxInt64)
		err = p.history.Series(t.Context(), p.placement, q, func(r wire.Row) error {
			key := wire.Row{"tsp": r["tsp"]}
			for _, g := range q.GroupBy {
				key[g.ID] = r[g.ID]
			}
			got[fmt.Sprint(key)] = r
			if r["tsp"].(uint64) > last {
				rt.Errorf("bucket %v comes after %v", r["tsp"], last)
			}
			last = r["tsp"].(uint64)
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		near := gocmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
		if diff := gocmp.Diff(oracleSeries(table, records, q), got, near); diff != "" {
			rt.Fatalf("the database answers otherwise (-loop +database):\n%s", diff)
		}
	})
}

// PostgreSQL 15 leaves out the default partition where a range meets an OR that asks whether the key is NULL.
func TestAskingWhetherATimeIsNullHidesNoRow(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	if err := p.write(t, "everything", everything(1, nil, nil, nil, "x", nil, nil)); err != nil {
		t.Fatal(err)
	}
	is := func(operator string) map[string]any { return map[string]any{"column": "tsp", "operator": operator} }
	either := map[string]any{"combinator": "OR", "filters": []any{is("IS NULL"), is("IS NOT NULL")}}
	all := []any{noon.Add(-time.Hour).UnixMilli(), noon.Add(time.Hour).UnixMilli()}
	for _, c := range []struct {
		filter map[string]any
		want   int
	}{{either, 1}, {is("IS NOT NULL"), 1}, {is("IS NULL"), 0}} {
		rows := p.ask(t, "everything", map[string]any{"timeRange": all, "filterAnd": []any{c.filter}})
		if len(rows) != c.want {
			t.Errorf("%v finds %d rows, want %d", c.filter, len(rows), c.want)
		}
	}
}

func TestNamesInAQueryAreNeverSQL(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	if err := p.write(t, "everything", everything(1, nil, nil, nil, "x", nil, nil)); err != nil {
		t.Fatal(err)
	}
	for _, evil := range []string{`"; DROP TABLE everything; --`, `n" = 1 OR "n`, "pg_authid", "*", ""} {
		for name, request := range map[string]map[string]any{
			"filter":  {"filterAnd": []any{map[string]any{"column": evil, "operator": "=", "value": 1}}},
			"column":  {"columns": []any{evil}},
			"compare": {"filterAnd": []any{map[string]any{"column": "n", "operator": evil, "value": 1}}},
		} {
			if _, err := databackend.ParseQuery(p.table("everything"), request); err == nil {
				t.Errorf("%s %q is taken", name, evil)
			}
		}
		rows := p.ask(t, "everything", map[string]any{"filterAnd": []any{map[string]any{"column": "label", "operator": "=", "value": evil}}})
		if len(rows) != 0 {
			t.Errorf("value %q finds %d rows", evil, len(rows))
		}
	}
	if p.count(t, "everything") != 1 {
		t.Error("the row is gone")
	}
}
