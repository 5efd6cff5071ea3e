package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// chunks gathers a large result that comes in parts, each with the arguments index and rows, from the newest row to the oldest (docs/wire.md, "Rows").
type chunks map[int64][]wire.Row

func (c chunks) add(args []any) {
	if len(args) != 2 {
		return
	}
	index, err := strconv.ParseInt(fmt.Sprint(args[0]), 10, 64)
	rows, errRows := toRows(args[1])
	if err == nil && errRows == nil {
		c[index] = rows
	}
}

// rows gives all rows in ascending order of time: the final result's, or those of the chunks that came before it.
func (c chunks) rows(final []any) ([]wire.Row, error) {
	if len(final) == 0 {
		return nil, errs.E(wire.Internal, "the result is empty")
	}
	if len(c) == 0 {
		return toRows(final[0])
	}
	if end, ok := final[0].(map[string]any); !ok || fmt.Sprint(end["chunkCount"]) != strconv.Itoa(len(c)) {
		return nil, errs.E(wire.Unavailable, "a part of the result is missing: ask for fewer rows")
	}
	var all []wire.Row
	for _, index := range slices.Sorted(maps.Keys(c)) {
		all = append(all, c[index]...)
	}
	slices.Reverse(all)
	return all, nil
}

func toRows(v any) ([]wire.Row, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errs.E(wire.Internal, "the result is no list of rows")
	}
	rows := make([]wire.Row, len(list))
	for i := range list {
		row, ok := list[i].(map[string]any)
		if !ok {
			return nil, errs.E(wire.Internal, "the result is no list of rows")
		}
		rows[i] = row
	}
	return rows, nil
}

// first are the columns that stand before the others.
var first = []string{"tsp", "device_key"}

func rowTable(rows []wire.Row) table {
	columns := map[string]bool{}
	for _, row := range rows {
		for column := range row {
			columns[column] = true
		}
	}
	var head []string
	for _, column := range append(slices.Clone(first), slices.Sorted(maps.Keys(columns))...) {
		if columns[column] && column != "authid" && !slices.Contains(head, column) {
			head = append(head, column)
		}
	}
	t := table{head: head}
	for _, row := range rows {
		cells := make([]string, len(head))
		for i, column := range head {
			cells[i] = cell(column, row[column])
		}
		t.add(cells...)
	}
	return t
}

func cell(column string, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int64:
		return cellOfInt(column, v)
	case uint64:
		return cellOfInt(column, int64(v))
	default:
		encoded, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(encoded)
	}
}

func cellOfInt(column string, v int64) string {
	if column == "tsp" {
		return time.UnixMilli(v).Format("2006-01-02 15:04:05.000")
	}
	return strconv.FormatInt(v, 10)
}
