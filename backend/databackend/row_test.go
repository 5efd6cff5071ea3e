package databackend_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const rowTemplate = `
data:
  tables:
    - tablename: t
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: f, dataType: numeric}
        - {id: i, dataType: bigint}
        - {id: at, dataType: timestamp}
        - {id: s, dataType: string}
        - {id: b, dataType: boolean}
        - {id: j, dataType: json}
        - {id: deep, dataType: numeric, path: "args[0].nested.list[1].v"}
        - {id: second, dataType: string, path: "args[1].x"}
        - {id: kw, dataType: string, path: kwargs.kw}
    - tablename: plain
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: n, dataType: bigint}
`

func tableOf(t testing.TB, name string) databackend.Table {
	template, err := databackend.ParseTemplate("t.yaml", []byte(rowTemplate))
	if err != nil {
		t.Fatal(err)
	}
	table, ok := template.Table(name)
	if !ok {
		t.Fatalf("no table %s", name)
	}
	return table
}

var now = time.Date(2026, 5, 4, 3, 2, 1, 987654321, time.UTC)

func serverSeq(int) int64 { return -1000 }

func rowOf(args ...any) wire.Submission {
	return wire.Submission{Table: "t", Device: 7, AuthID: "serial-7", Args: args}
}

func TestARowIsReadByThePathsOfItsColumns(t *testing.T) {
	t.Parallel()
	s := rowOf(map[string]any{
		"tsp": 1767225600123.5, "f": uint64(3), "i": 5.0, "at": "2026-01-01T00:00:00.123456789+02:00", "s": "x", "b": true,
		"j":      map[string]any{"a": []any{uint64(1), nil}},
		"nested": map[string]any{"list": []any{nil, map[string]any{"v": 2.5}}, "and": "more"},
	}, map[string]any{"x": "second"})
	s.Kwargs = map[string]any{"kw": "word", "DEVICE_KEY": uint64(99), "anything": "else"}
	got, err := databackend.NewRules(tableOf(t, "t")).Records(s, now, serverSeq)
	if err != nil {
		t.Fatal(err)
	}
	want := []databackend.Record{{Device: 7, AuthID: "serial-7", Seq: -1000, Values: []any{
		time.Date(2026, 1, 1, 0, 0, 0, 123_500_000, time.UTC), 3.0, int64(5), time.Date(2025, 12, 31, 22, 0, 0, 123_456_000, time.UTC), "x", true,
		json.RawMessage(`{"a":[1,null]}`), 2.5, "second", "word",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record differs (-want +got):\n%s", diff)
	}
}

func TestARowWithoutATimeGetsTheServersAndAbsentColumnsAreNull(t *testing.T) {
	t.Parallel()
	got, err := databackend.NewRules(tableOf(t, "plain")).Records(wire.Submission{Args: []any{map[string]any{}}}, now, serverSeq)
	if err != nil {
		t.Fatal(err)
	}
	want := []databackend.Record{{Seq: -1000, Values: []any{now.Truncate(time.Microsecond), nil}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIdentityIsTheSessionsWhateverTheRowSays(t *testing.T) {
	t.Parallel()
	s := wire.Submission{Device: 7, AuthID: "me", Args: []any{map[string]any{"n": uint64(1), "device_key": uint64(8), "authid": "you", "DEVICE_KEY": "8"}},
		Kwargs: map[string]any{"device_key": uint64(8), "authid": "you"}}
	got, err := databackend.NewRules(tableOf(t, "plain")).Records(s, now, serverSeq)
	if err != nil || got[0].Device != 7 || got[0].AuthID != "me" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestARowThatDoesNotFitIsRefusedWithTheColumnAndWithoutTheValue(t *testing.T) {
	t.Parallel()
	const canary = "canary-3141"
	deep := any(canary)
	for range 70 {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		row  any
		want string
	}{
		"string for numeric":     {map[string]any{"f": canary}, "f: want a number, have a string"},
		"digits for numeric":     {map[string]any{"f": "12"}, "f: want a number, have a string"},
		"NaN":                    {map[string]any{"f": math.NaN()}, "f: want a finite number"},
		"infinity":               {map[string]any{"f": math.Inf(1)}, "f: want a finite number"},
		"fraction for bigint":    {map[string]any{"i": 1.5}, "i: want an integer of 64 bits, have another number"},
		"too large for bigint":   {map[string]any{"i": uint64(1 << 63)}, "i: want an integer of 64 bits"},
		"boolean for bigint":     {map[string]any{"i": true}, "i: want an integer, have a boolean"},
		"number for boolean":     {map[string]any{"b": uint64(1)}, "b: want true or false, have a number"},
		"number for string":      {map[string]any{"s": uint64(1)}, "s: want a string, have a number"},
		"NUL in a string":        {map[string]any{"s": canary + "\x00"}, "s: the text has a NUL character"},
		"bad UTF-8":              {map[string]any{"s": canary + "\xff"}, "s: the text is not UTF-8"},
		"NUL in JSON":            {map[string]any{"j": []any{map[string]any{"a\x00": 1}}}, "j: the text has a NUL character"},
		"NaN in JSON":            {map[string]any{"j": []any{math.NaN()}}, "j: want a finite number"},
		"binary in JSON":         {map[string]any{"j": []byte(canary)}, "j: want what JSON can hold, have binary data"},
		"deep JSON":              {map[string]any{"j": deep}, "j: nested deeper than 64"},
		"time without a zone":    {map[string]any{"at": "2026-01-01T00:00:00"}, "at: want epoch milliseconds or RFC 3339 with a zone"},
		"list for a time":        {map[string]any{"at": []any{}}, "at: want epoch milliseconds or RFC 3339, have a list"},
		"time of seconds times":  {map[string]any{"tsp": 1e18}, "tsp: want epoch milliseconds"},
		"tsp before 1970":        {map[string]any{"tsp": "1969-12-31T23:59:59Z"}, "tsp: the time is outside the years 1970 to 2199"},
		"tsp far ahead":          {map[string]any{"tsp": "2200-01-01T00:00:00Z"}, "tsp: the time is outside the years 1970 to 2199"},
		"unknown column":         {map[string]any{"f": 1.0, "temprature": canary}, `"temprature": the table has no such column`},
		"unknown and unreadable": {map[string]any{"\x1b[31m" + strings.Repeat("x", 100): 1}, `"\x1b[31m` + strings.Repeat("x", 59) + `…": the table has no such column`},
		"seq is no column":       {map[string]any{"seq": uint64(1)}, `"seq": the table has no such column`},
		"not an object":          {canary, "args[0]: want a row, have a string"},
		"nothing":                {nil, "args[0]: want a row, have nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := databackend.NewRules(tableOf(t, "t")).Records(rowOf(c.row), now, serverSeq)
			if !strings.HasPrefix(errs.UserText(err), c.want) || errs.URIOf(err) != wire.ErrInvalidRow || errs.KindOf(err) != wire.Invalid {
				t.Errorf("got %q (%s), want %q", errs.UserText(err), errs.URIOf(err), c.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the reason has the value: %v", err)
			}
		})
	}
}

func TestAnArgumentThatNoColumnReadsIsRefused(t *testing.T) {
	t.Parallel()
	row := map[string]any{}
	if _, err := databackend.NewRules(tableOf(t, "t")).Records(rowOf(row, row, row), now, serverSeq); errs.UserText(err) != "args[2]: no column reads it" {
		t.Errorf("got %v", err)
	}
}

func TestABulkIsAllOrNothing(t *testing.T) {
	t.Parallel()
	rules := databackend.NewRules(tableOf(t, "plain"))
	bulk := func(list any) wire.Submission {
		return wire.Submission{Bulk: true, Device: 1, Args: []any{list}, Kwargs: map[string]any{"seq": uint64(5)}}
	}
	good, bad := map[string]any{"n": uint64(1)}, map[string]any{"n": "one"}
	records, err := rules.Records(bulk([]any{good, good, good}), now, serverSeq)
	if err != nil || len(records) != 3 || records[0].Seq != 5 || records[2].Seq != 7 {
		t.Errorf("got %+v, %v", records, err)
	}
	for name, c := range map[string]struct {
		list any
		want string
	}{
		"one bad row": {[]any{good, bad, good}, "row 1: n: want an integer, have a string"},
		"empty":       {[]any{}, "args[0]: the list of rows is empty"},
		"no list":     {good, "args[0]: want a list of rows, have an object"},
		"too many":    {make([]any, databackend.MaxBulkRows+1), "args[0]: more than 50000 rows at once"},
	} {
		if got, err := rules.Records(bulk(c.list), now, serverSeq); errs.UserText(err) != c.want || got != nil {
			t.Errorf("%s: got %d rows, %q", name, len(got), errs.UserText(err))
		}
	}
}

func TestAProducersSeqIsKeptForDevicesAlone(t *testing.T) {
	t.Parallel()
	rules := databackend.NewRules(tableOf(t, "plain"))
	read := func(device wire.Key, seq any) (int64, error) {
		r, err := rules.Records(wire.Submission{Device: device, Args: []any{map[string]any{}}, Kwargs: map[string]any{"seq": seq}}, now, serverSeq)
		if err != nil {
			return 0, err
		}
		return r[0].Seq, nil
	}
	for name, c := range map[string]struct {
		device wire.Key
		seq    any
		want   int64
		fails  bool
	}{
		"a device's":  {3, uint64(42), 42, false},
		"zero":        {3, uint64(0), 0, false},
		"a service's": {0, uint64(42), -1000, false},
		"none":        {3, nil, -1000, false},
		"negative":    {3, int64(-1), 0, true},
		"text":        {3, "42", 0, true},
		"too large":   {3, uint64(1)<<62 + 1, 0, true},
	} {
		if got, err := read(c.device, c.seq); got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
}

// Whatever comes, a row is refused with a reason or becomes values that have the type of their column.
func TestEveryRowIsRefusedOrFits(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "t")
	rules := databackend.NewRules(table)
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaf := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Float64().AsAny(), rapid.Uint64().AsAny(), rapid.Int64Max(-1).AsAny(), rapid.String().AsAny(),
			rapid.Bool().AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(), rapid.Just[any]("2026-01-01T00:00:00Z"), rapid.Just[any](uint64(1767225600000)),
		}
		if depth > 0 {
			leaf = append(leaf, rapid.SliceOfN(value(depth-1), 0, 3).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 3).AsAny())
		}
		return rapid.OneOf(leaf...)
	}
	ids := []string{"tsp", "f", "i", "at", "s", "b", "j", "nested"}
	rapid.Check(t, func(t *rapid.T) {
		row := map[string]any{}
		for _, id := range ids {
			if rapid.Bool().Draw(t, id) {
				row[id] = value(2).Draw(t, id)
			}
		}
		records, err := rules.Records(rowOf(row), now, serverSeq)
		if err != nil {
			if errs.UserText(err) == "" || errs.URIOf(err) != wire.ErrInvalidRow {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		for i, c := range table.Columns {
			if again, err := c.Type.Value(databackend.WireValue(records[0].Values[i])); err != nil {
				t.Fatalf("%s holds %#v, which does not fit: %v", c.ID, records[0].Values[i], err)
			} else if c.Type != databackend.JSON && c.Type != databackend.Timestamp && !cmp.Equal(again, records[0].Values[i]) {
				t.Fatalf("%s: %#v comes back as %#v", c.ID, records[0].Values[i], again)
			}
		}
		if records[0].Values[0] == nil {
			t.Fatal("a row without a time")
		}
	})
}
