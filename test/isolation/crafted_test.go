package isolation

import (
	"slices"
	"strings"
	"testing"

	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// What stands where a table's name does. None of it is one.
var noTables = []string{
	"metrics;", `metrics" `, `metrics"--`, "metrics'", "metrics%", "%", "_", "*", "$1", "metrics\x00", "metrics\\", "METRICS", "metr\u0131cs", "\uff4detrics", "metrics\u200b", "m\u0435trics",
	"_metrics_default", "_metrics_20260101t000000", "pg_class", "public/metrics", "bulkhead", "pg_toast", "../metrics", "metrics/..", "1", "-1", "true", "null", "tableoid",
	"metrics.tsp", "metrics.more", "bulkhead.api_key", "pg_catalog.pg_authid", "information_schema.tables", "series", "series.series.metrics", "transformed.metrics",
	strings.Repeat("m", 63), strings.Repeat("m", 64), strings.Repeat("metrics", 2000),
}

func TestATablesNameIsNothingElse(t *testing.T) {
	t.Parallel()
	w := newDataWorld(t)
	a, b := w.tenants["a"], w.tenants["b"]
	row := map[string]any{"tsp": 1767225600000, "text": "of b"}
	other := w.mustJoin(t, "b/device-1", "b.data")
	if _, _, err := other.CallURI(t.Context(), wire.AppendProcedure(b.project, b.app, "metrics").URI, []any{row}, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"a/device-1", "a/service", "a/console"} {
		s := w.mustJoin(t, who, "a.data")
		for _, name := range append(slices.Clone(noTables), w.schemas["b"]+".metrics", w.schemas["b"], w.schemas["a"]+".metrics") {
			row["text"] = "of a"
			for uri, args := range map[string][]any{
				wire.HistoryProcedure(name).URI: nil, wire.RowErrorsProcedure(name).URI: nil, wire.SeriesProcedure(name).URI: nil,
				wire.AppendProcedure(a.project, a.app, name).URI: {row}, wire.AppendBulkProcedure(a.project, a.app, name).URI: {[]any{row}},
			} {
				answer, _, err := s.CallURI(t.Context(), uri, args, nil, nil)
				switch got := outcome(err); got {
				case "no_such_table", "invalid_uri", "not_authorized":
				case "exhausted": // a URI has so many bytes
					if len(name) < 1000 {
						t.Errorf("%s: %.80q: %v", who, uri, err)
					}
				default:
					t.Errorf("%s: %.80q: %s %v", who, uri, got, answer)
				}
			}
		}
	}
	everything := map[string]any{"timeRange": []any{0, nil}}
	for who, want := range map[string]int{"a/service": 0, "b/service": 1} {
		s := w.mustJoin(t, who, who[:1]+".data")
		answer, _, err := s.CallURI(t.Context(), wire.HistoryProcedure("metrics").URI, []any{everything}, nil, nil)
		if rows, _ := answer[0].([]any); err != nil || len(rows) != want {
			t.Errorf("%s reads %v, %v, want %d rows", who, answer, err, want)
		}
	}
}

// What stands where a query has names, operators and values.
func TestAQuerysWordsAreNothingElse(t *testing.T) {
	t.Parallel()
	w := newDataWorld(t)
	own, others := w.mustJoin(t, "a/device-1", "a.data"), w.mustJoin(t, "a/device-2", "a.data")
	a := w.tenants["a"]
	for s, text := range map[*wampx.Session]string{own: "mine", others: "theirs"} {
		if _, _, err := s.CallURI(t.Context(), wire.AppendProcedure(a.project, a.app, "secrets").URI, []any{map[string]any{"text": text}}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	filter := func(column, operator string, value any) map[string]any {
		return map[string]any{"column": column, "operator": operator, "value": value}
	}
	or := func(filters ...any) map[string]any { return map[string]any{"combinator": "OR", "filters": filters} }
	always := filter("text", "IS NOT NULL", nil)
	device2 := filter("device_key", "=", uint64(a.devices[1].Key))
	for name, ask := range map[string]map[string]any{
		"a column that is SQL":        {"filterAnd": []any{filter(`text" IS NOT NULL OR "text`, "=", "x")}},
		"a column of another table":   {"filterAnd": []any{filter("pg_authid.rolpassword", "IS NOT NULL", nil)}},
		"a hidden column":             {"columns": []any{"ctid"}},
		"the table's number":          {"columns": []any{"tableoid"}},
		"our own column":              {"columns": []any{"seq"}},
		"an expression":               {"columns": []any{"(SELECT 1)"}},
		"a regular expression":        {"filterAnd": []any{filter("text", "~", "(a+)+$")}},
		"an operator that is SQL":     {"filterAnd": []any{filter("text", "= '' OR 1=1 --", "x")}},
		"a value that is SQL":         {"filterAnd": []any{filter("text", "=", "' OR true --")}},
		"a pattern of everything":     {"filterAnd": []any{filter("text", "LIKE", "%"), device2}},
		"an or that lets all through": {"filterAnd": []any{or(always, device2)}},
		"another's rows":              {"filterAnd": []any{device2}},
		"another's newest row":        {"filterAnd": []any{map[string]any{"latest": true}, device2}},
		"all newest rows":             {"filterAnd": []any{map[string]any{"latest": true}}},
		"another's name":              {"filterAnd": []any{filter("authid", "IN", []any{string(a.devices[1].Serial)})}},
		"a list that is SQL":          {"filterAnd": []any{filter("text", "IN", "mine') OR ('x' = 'x")}},
		"a slow pattern":              {"filterAnd": []any{filter("text", "LIKE", strings.Repeat("%_", 10_000)+"x")}},
		"too long a list":             {"filterAnd": []any{filter("device_key", "IN", make([]any, 1001))}},
		"too deep":                    {"filterAnd": []any{or(or(or(or(or(or(or(or(or(always)))))))))}},
		"a deeper offset":             {"offset": uint64(1) << 40},
		"a limit below none":          {"limit": -1},
		"a property that is unknown":  {"schema": "public"},
	} {
		answer, _, err := own.CallURI(t.Context(), wire.HistoryProcedure("secrets").URI, []any{ask}, nil, nil)
		if got := asJSON(answer); strings.Contains(got, "theirs") || strings.Contains(got, string(a.devices[1].Serial)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if outcome(err) == "internal" {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := map[string]any{"timeRange": []any{0, nil}, "limit": 1, "groupBy": []any{"authid"}, "metrics": []any{map[string]any{"ref": "text", "method": "MAX"}}}
	for _, ask := range []any{nil, all} {
		uri := wire.HistoryProcedure("secrets").URI
		if ask != nil {
			uri = wire.SeriesProcedure("secrets").URI
		}
		answer, _, err := own.CallURI(t.Context(), uri, []any{ask}, nil, nil)
		if got := asJSON(answer); err != nil || strings.Contains(got, "theirs") || !strings.Contains(got, "mine") {
			t.Errorf("%s, %v", got, err)
		}
	}
}
