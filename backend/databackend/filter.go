package databackend

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bulkhead/wire"
)

const (
	maxFilters     = 64
	maxFilterDepth = 8
	maxFilterSet   = 1000
)

// Condition lets rows through. It is a test of one column, or a combination of conditions; the zero Condition lets all
// through.
type Condition struct {
	All []Condition // each of them must hold
	Any []Condition // one of them must hold

	Ref      Ref
	Operator Operator // "" where the condition is a combination
	Value    any      // as Value of the column's type gives it; []any for In and NotIn; nil for IsNull and NotNull
}

// IsZero reports whether the condition lets all through.
func (c Condition) IsZero() bool { return len(c.All) == 0 && len(c.Any) == 0 && c.Operator == "" }

// Operator compares a column with a value.
type Operator string

// The operators. There are no others.
const (
	Equal        Operator = "="
	NotEqual     Operator = "<>"
	Less         Operator = "<"
	LessEqual    Operator = "<="
	Greater      Operator = ">"
	GreaterEqual Operator = ">="
	Like         Operator = "LIKE"
	ILike        Operator = "ILIKE"
	NotLike      Operator = "NOT LIKE"
	NotILike     Operator = "NOT ILIKE"
	In           Operator = "IN"
	NotIn        Operator = "NOT IN"
	IsNull       Operator = "IS NULL"
	NotNull      Operator = "IS NOT NULL"
)

var operators = []Operator{
	Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, Like, ILike, NotLike, NotILike, In, NotIn, IsNull, NotNull,
}

// filters reads filterAnd: conditions that must all hold, and whether only the latest rows are asked for.
func (r *request) filters(t Table) (where Condition, latest bool) {
	p := filterParser{table: t}
	for _, v := range r.list("filterAnd", wire.ErrInvalidFilter, maxFilters) {
		if isLatest(v) {
			latest = true
			continue
		}
		c, reason := p.condition(v, maxFilterDepth)
		if reason != "" {
			r.fail(wire.ErrInvalidFilter, "filterAnd: %s", reason)
			return Condition{}, false
		}
		where.All = append(where.All, c)
	}
	return where, latest
}

// isLatest reports whether a filter asks for the latest rows, in either form that clients send.
func isLatest(v any) bool {
	dict, _ := object(v)
	if dict["latest"] == true {
		return true
	}
	return dict["column"] == ColumnLatestFlag && dict["operator"] == string(Equal) && (dict["value"] == true || dict["value"] == "true")
}

type filterParser struct {
	table Table
	count int
}

// condition reads one filter, or says what is wrong with it.
func (p *filterParser) condition(v any, depth int) (Condition, string) {
	if p.count++; p.count > maxFilters || depth == 0 {
		return Condition{}, fmt.Sprintf("more than %d conditions, or nested deeper than %d", maxFilters, maxFilterDepth)
	}
	dict, ok := object(v)
	if !ok {
		return Condition{}, want("{column, operator, value}", v).Error()
	}
	for key, value := range dict {
		known := slices.Contains([]string{"column", "operator", "value", "dataType", "combinator", "filters"}, key)
		if !known && (key != "latest" || value != false) {
			return Condition{}, clip(key) + ": unknown property here"
		}
	}
	if dict["combinator"] != nil || dict["filters"] != nil {
		return p.group(dict, depth)
	}
	return p.test(dict)
}

func (p *filterParser) group(dict map[string]any, depth int) (Condition, string) {
	filters, ok := dict["filters"].([]any)
	if !ok || len(filters) == 0 || dict["column"] != nil || dict["operator"] != nil {
		return Condition{}, "a group is {combinator, filters} with at least one filter, and nothing else"
	}
	var all []Condition
	for _, f := range filters {
		c, reason := p.condition(f, depth-1)
		if reason != "" {
			return Condition{}, reason
		}
		all = append(all, c)
	}
	switch dict["combinator"] {
	case "AND":
		return Condition{All: all}, ""
	case "OR":
		return Condition{Any: all}, ""
	default:
		return Condition{}, "combinator: want AND or OR"
	}
}

func (p *filterParser) test(dict map[string]any) (Condition, string) {
	column, _ := dict["column"].(string)
	ref, ok := p.table.Ref(column)
	if !ok {
		return Condition{}, "the table has no column " + clip(column)
	}
	text, _ := dict["operator"].(string)
	c := Condition{Ref: ref, Operator: Operator(strings.ToUpper(text))}
	if c.Operator == "!=" {
		c.Operator = NotEqual
	}
	if !slices.Contains(operators, c.Operator) {
		return Condition{}, "operator: want one of " + joined(operators)
	}
	var reason string
	if c.Value, reason = c.value(dict["value"]); reason != "" {
		return Condition{}, ref.ID + ": " + reason
	}
	return c, ""
}

// value reads what the column is compared with.
func (c Condition) value(v any) (any, string) {
	switch c.Operator {
	case IsNull, NotNull:
		if v != nil && v != "" {
			return nil, string(c.Operator) + " takes no value"
		}
		return nil, ""
	case Like, ILike, NotLike, NotILike:
		if c.Ref.Type != String {
			return nil, string(c.Operator) + " is for strings"
		}
	case In, NotIn:
		return c.set(v)
	}
	if c.Ref.Type == JSON {
		return nil, "a json column can be compared with NULL only"
	}
	return c.one(v)
}

func (c Condition) one(v any) (any, string) {
	if v == nil {
		return nil, "want a value; IS NULL asks for none"
	}
	if f, ok := v.(float64); ok && c.Ref.Type == BigInt {
		return f, "" // 1.5 is between integers, and may be asked for
	}
	value, err := c.Ref.Type.Value(v)
	if err != nil {
		return nil, err.Error()
	}
	return value, ""
}

// set reads a list of values. Some clients send it as one text with commas.
func (c Condition) set(v any) (any, string) {
	if text, ok := v.(string); ok {
		v = c.fromCommas(text)
	}
	list, ok := v.([]any)
	if !ok || len(list) > maxFilterSet {
		return nil, fmt.Sprintf("%s takes a list of at most %d values", c.Operator, maxFilterSet)
	}
	if c.Ref.Type == JSON {
		return nil, "a json column can be compared with NULL only"
	}
	set := make([]any, len(list))
	for i, e := range list {
		var err error
		if set[i], err = c.Ref.Type.Value(e); err != nil || e == nil {
			return nil, string(c.Operator) + ": a value does not fit the column"
		}
	}
	return set, ""
}

func (c Condition) fromCommas(text string) []any {
	if text == "" {
		return []any{}
	}
	var list []any
	for part := range strings.SplitSeq(text, ",") {
		if len(list) > maxFilterSet {
			break // it is too long already, and a text of commas alone would become many times as long
		}
		if c.Ref.Type == Numeric || c.Ref.Type == BigInt {
			if f, err := strconv.ParseFloat(strings.TrimSpace(part), 64); err == nil {
				list = append(list, f)
				continue
			}
		}
		list = append(list, part)
	}
	return list
}
