package databackend

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"bulkhead/wire"
)

// Values of stored rows have one Go type per data type: float64, int64, time.Time (UTC, whole microseconds), string, bool,
// and json.RawMessage for JSON. nil is NULL for every type.

const (
	maxExact     = 1 << 53 // the largest integer that a float64 keeps exactly
	maxJSONDepth = 64
)

var (
	// A row's time must be one that a sane clock shows: each far-off time would open a chunk of its own.
	minRowTime = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	maxRowTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	// Any other timestamp is what RFC 3339 can write.
	minTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// misfit says why a value does not fit its column, without the value: reasons are read by others than the row's owner.
type misfit string

func (m misfit) Error() string { return string(m) }

func want(what string, have any) error { return misfit("want " + what + ", have " + describe(have)) }

// Value gives v the form in which the data type is stored, or the reason why it does not fit.
func (d DataType) Value(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch d {
	case Numeric:
		return numericValue(v)
	case BigInt:
		return bigintValue(v)
	case Timestamp:
		return timeValue(v)
	case String:
		s, ok := v.(string)
		if !ok {
			return nil, want("a string", v)
		}
		return s, checkText(s)
	case Boolean:
		b, ok := v.(bool)
		if !ok {
			return nil, want("true or false", v)
		}
		return b, nil
	case JSON:
		return jsonValue(v)
	default:
		return nil, fmt.Errorf("databackend: data type %q", d)
	}
}

func numericValue(v any) (any, error) {
	f, ok := asFloat(v)
	switch {
	case !ok:
		return nil, want("a number", v)
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil, misfit("want a finite number")
	default:
		return f, nil
	}
}

func bigintValue(v any) (any, error) {
	if n, ok := asInteger(v); ok {
		return n, nil
	}
	if _, number := asFloat(v); number {
		return nil, misfit("want an integer of 64 bits, have another number")
	}
	return nil, want("an integer", v)
}

// timeValue reads epoch milliseconds, or RFC 3339 text.
func timeValue(v any) (any, error) {
	t, err := anyTime(v)
	if err != nil {
		return nil, err
	}
	if t.Before(minTime) || !t.Before(maxTime) {
		return nil, misfit("the time is outside the years 1 to 9999")
	}
	return t, nil
}

func anyTime(v any) (time.Time, error) {
	if s, ok := v.(string); ok {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return time.Time{}, misfit("want epoch milliseconds or RFC 3339 with a zone, have other text")
		}
		return t.UTC().Truncate(time.Microsecond), nil
	}
	if n, ok := asInteger(v); ok {
		if n < minTime.UnixMilli() || n >= maxTime.UnixMilli() {
			return time.Time{}, misfit("the time is outside the years 1 to 9999; want milliseconds since 1970")
		}
		return time.UnixMilli(n).UTC(), nil
	}
	if f, ok := asFloat(v); ok && math.Abs(f) < float64(maxTime.UnixMilli()) {
		return time.UnixMicro(int64(math.Round(f * 1000))).UTC(), nil
	}
	return time.Time{}, want("epoch milliseconds or RFC 3339", v)
}

// checkText refuses what PostgreSQL's text cannot hold.
func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return misfit("the text has a NUL character")
	}
	if !utf8.ValidString(s) {
		return misfit("the text is not UTF-8")
	}
	return nil
}

func jsonValue(v any) (any, error) {
	if err := checkJSON(v, maxJSONDepth); err != nil {
		return nil, err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, misfit("the value has no JSON form")
	}
	return json.RawMessage(data), nil
}

// checkJSON refuses what jsonb cannot hold.
func checkJSON(v any, depth int) error {
	if depth == 0 {
		return misfit(fmt.Sprintf("nested deeper than %d", maxJSONDepth))
	}
	switch v := v.(type) {
	case nil, bool:
		return nil
	case string:
		return checkText(v)
	case []any:
		for _, e := range v {
			if err := checkJSON(e, depth-1); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return checkObject(v, depth)
	case wire.Row:
		return checkObject(v, depth)
	default:
		if _, number := asFloat(v); !number {
			return want("what JSON can hold", v)
		}
		_, err := numericValue(v)
		return err
	}
}

func checkObject(v map[string]any, depth int) error {
	for k, e := range v {
		if err := checkText(k); err != nil {
			return err
		}
		if err := checkJSON(e, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// asInteger reads what is an integer of 64 bits, also where it came as a float without a fraction.
func asInteger(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case uint32:
		return int64(v), true
	case wire.Key:
		return int64(v), v <= math.MaxInt64
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) <= maxExact
	case float32:
		return asInteger(float64(v))
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	default:
		return 0, false
	}
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case uint64:
		return float64(v), true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	default:
		n, ok := asInteger(v)
		return float64(n), ok
	}
}

func describe(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []byte:
		return "binary data"
	case []any:
		return "a list"
	case map[string]any, wire.Row:
		return "an object"
	}
	if _, ok := asFloat(v); ok {
		return "a number"
	}
	return "something else"
}
