package db

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"bulkhead/backend/databackend"
)

// statement gathers SQL text and its parameters. Names in the text are those of the template, quoted; whatever a caller
// said is a parameter.
type statement struct {
	args []any
}

// value adds a parameter and gives the text that stands for it, with its type.
func (s *statement) value(v any) string {
	s.args = append(s.args, v)
	return fmt.Sprintf("$%d::%s", len(s.args), sqlType(v))
}

// set adds a parameter with many values of a column's type.
func (s *statement) set(values []any, typ databackend.DataType) string {
	s.args = append(s.args, values)
	return fmt.Sprintf("$%d::%s[]", len(s.args), typ.SQL())
}

func sqlType(v any) string {
	switch v.(type) {
	case float64:
		return databackend.Numeric.SQL()
	case int64:
		return databackend.BigInt.SQL()
	case time.Time:
		return databackend.Timestamp.SQL()
	case bool:
		return databackend.Boolean.SQL()
	default:
		return databackend.String.SQL()
	}
}

// rowsSQL gives the newest rows first.
func rowsSQL(schema string, q databackend.Query) (string, []any) {
	s := &statement{}
	var from, where string
	if q.Latest {
		from, where = s.latest(schema, q)
	} else {
		from, where = ident(schema, q.Table.Name), s.where(q.Selection)
	}
	columns := make([]string, len(q.Columns))
	for i, c := range q.Columns {
		columns[i] = ident(c.ID)
		if c.Type == databackend.JSON {
			columns[i] += "::text"
		}
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + from + where + newestFirst +
		" LIMIT " + s.value(int64(q.Limit)) + " OFFSET " + s.value(int64(q.Offset))
	return sql, s.args
}

var newestFirst = " ORDER BY " + ident(databackend.ColumnTime) + " DESC, " + ident(databackend.ColumnSeq) + " DESC"

// latest gives the newest row of each entity. What speaks of the entity's key alone chooses entities; the time range and
// all else choose among the newest rows, as existing clients expect.
func (s *statement) latest(schema string, q databackend.Query) (from, where string) {
	entity := q.Table.Entity()
	inner, outer := databackend.Selection{Device: q.Device}, databackend.Selection{From: q.From, To: q.To}
	for _, c := range q.Where.All {
		if c.Operator != "" && contains(entity, c.Ref.ID) {
			inner.Where.All = append(inner.Where.All, c)
		} else {
			outer.Where.All = append(outer.Where.All, c)
		}
	}
	for _, id := range entity {
		ref, _ := q.Table.Ref(id)
		inner.Where.All = append(inner.Where.All, databackend.Condition{Ref: ref, Operator: databackend.NotNull})
	}
	key := idents(entity)
	from = "(SELECT DISTINCT ON (" + key + ") * FROM " + ident(schema, q.Table.Name) + s.where(inner) +
		" ORDER BY " + key + ", " + strings.TrimPrefix(newestFirst, " ORDER BY ") + ") AS newest"
	return from, s.where(outer)
}

func contains(list []string, one string) bool {
	for _, s := range list {
		if s == one {
			return true
		}
	}
	return false
}

// where gives the WHERE clause of a selection, or nothing where it lets all through.
func (s *statement) where(sel databackend.Selection) string {
	var tests []string
	tsp := ident(databackend.ColumnTime)
	if !sel.From.IsZero() {
		tests = append(tests, tsp+" >= "+s.value(sel.From))
	}
	if !sel.To.IsZero() {
		tests = append(tests, tsp+" < "+s.value(sel.To))
	}
	if sel.Device != 0 {
		tests = append(tests, ident(databackend.ColumnDevice)+" = "+s.value(int64(sel.Device)))
	}
	if !sel.Where.IsZero() {
		tests = append(tests, s.condition(sel.Where))
	}
	if len(tests) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(tests, " AND ")
}

func (s *statement) condition(c databackend.Condition) string {
	switch {
	case c.Operator != "":
		return s.test(c)
	case len(c.Any) > 0:
		return s.join(c.Any, " OR ")
	default:
		return s.join(c.All, " AND ")
	}
}

func (s *statement) join(all []databackend.Condition, with string) string {
	parts := make([]string, len(all))
	for i, c := range all {
		parts[i] = s.condition(c)
	}
	return "(" + strings.Join(parts, with) + ")"
}

// test compares a column. The operator is one of the package's own constants: an unknown one tests nothing true.
func (s *statement) test(c databackend.Condition) string {
	column := ident(c.Ref.ID)
	if c.Ref.ID == databackend.ColumnTime && (c.Operator == databackend.IsNull || c.Operator == databackend.NotNull) {
		// Each row has a time. PostgreSQL 15 leaves out partitions that it must read where such a test stands beside an OR.
		return strconv.FormatBool(c.Operator == databackend.NotNull)
	}
	switch c.Operator {
	case databackend.IsNull, databackend.NotNull:
		return column + " " + string(c.Operator)
	case databackend.In:
		values, _ := c.Value.([]any)
		return column + " = ANY (" + s.set(values, c.Ref.Type) + ")"
	case databackend.NotIn:
		values, _ := c.Value.([]any)
		return column + " <> ALL (" + s.set(values, c.Ref.Type) + ")"
	case databackend.Equal, databackend.NotEqual, databackend.Less, databackend.LessEqual, databackend.Greater,
		databackend.GreaterEqual, databackend.Like, databackend.ILike, databackend.NotLike, databackend.NotILike:
		return column + " " + string(c.Operator) + " " + s.value(c.Value)
	default:
		return "false"
	}
}

// seriesSQL gives the newest buckets first.
func seriesSQL(schema string, q databackend.Series) (string, []any) {
	s := &statement{}
	tsp := ident(databackend.ColumnTime)
	selected := []string{fmt.Sprintf("date_bin(%s * interval '1 millisecond', %s, %s)",
		s.value(float64(q.Bucket.Milliseconds())), tsp, s.value(q.From))}
	keys := []string{"1"}
	for i, g := range q.GroupBy {
		selected = append(selected, ident(g.ID))
		keys = append(keys, fmt.Sprint(i+2))
	}
	for _, m := range q.Metrics {
		selected = append(selected, metricSQL(m))
	}
	order := append([]string{"1 DESC"}, keys[1:]...)
	sql := "SELECT " + strings.Join(selected, ", ") + " FROM " + ident(schema, q.Table.Name) + s.where(q.Selection) +
		" GROUP BY " + strings.Join(keys, ", ") + " ORDER BY " + strings.Join(order, ", ") +
		" LIMIT " + s.value(int64(databackend.MaxSeriesRows+1))
	return sql, s.args
}

// metricSQL is one aggregate. What it gives has resultType.
func metricSQL(m databackend.Metric) string {
	column := ident(m.ID)
	switch m.Method {
	case databackend.Avg:
		return "avg(" + column + ")::double precision"
	case databackend.Sum:
		return "sum(" + column + ")::double precision"
	case databackend.Count:
		return "count(" + column + ")"
	case databackend.Min:
		return "min(" + column + ")"
	case databackend.Max:
		return "max(" + column + ")"
	case databackend.First:
		return edgeSQL("min", m.Ref)
	case databackend.Last:
		return edgeSQL("max", m.Ref)
	default:
		return "NULL"
	}
}

// edgeSQL gives the value of the earliest or latest row as the least or greatest of (time, seq, value): an ordered
// array_agg would hold all values of a bucket in memory at once. Time and seq as text of one length sort as they should.
func edgeSQL(edge string, ref databackend.Ref) string {
	key := "to_char(" + ident(databackend.ColumnTime) + ", 'YYYYMMDDHH24MISSUS'), to_char(" + ident(databackend.ColumnSeq) +
		`::numeric + 9223372036854775808, 'FM00000000000000000000')`
	return "(" + edge + "(ARRAY[" + key + ", " + ident(ref.ID) + `::text] COLLATE "C"))[3]::` + ref.Type.SQL()
}

// resultType is the type that a metric has in the answer.
func resultType(m databackend.Metric) databackend.DataType {
	switch m.Method {
	case databackend.Avg, databackend.Sum:
		return databackend.Numeric
	case databackend.Count:
		return databackend.BigInt
	default:
		return m.Type
	}
}
