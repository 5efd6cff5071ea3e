package wampx

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Payloads are plain values at both ends of a session: nil, bool, int64 (where negative), uint64, float64, string,
// []byte, []any and map[string]any. So a handler sees the same whatever the serializer, and inside one process nothing
// is shared between sender and receiver.

// outgoing makes a payload plain; what is not plain goes through its JSON form, whose names are the contract.
func outgoing(args []any, kwargs map[string]any) (wamp.List, wamp.Dict, error) {
	list, err := plain(args)
	if err != nil {
		return nil, nil, errs.As(wire.Invalid, err, "the arguments cannot be sent")
	}
	dict, err := plain(kwargs)
	if err != nil {
		return nil, nil, errs.As(wire.Invalid, err, "the keyword arguments cannot be sent")
	}
	return list.([]any), dict.(map[string]any), nil
}

// plain copies v into plain values.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, uint64:
		return v, nil
	case string:
		return plainText(v)
	case float64:
		return plainFloat(v)
	case []byte:
		return bytes.Clone(v), nil
	case []any:
		return plainEach(v)
	case wamp.List:
		return plainEach(v)
	case []wire.Row:
		return plainRows(v)
	case map[string]any:
		return plainValues(v)
	case wamp.Dict:
		return plainValues(v)
	case wire.Row:
		return plainValues(v)
	case wamp.URI:
		return plainText(string(v))
	case float32:
		return plainFloat(float64(v))
	default:
		if n, ok := plainNumber(v); ok {
			return n, nil
		}
		return throughJSON(v)
	}
}

func plainEach(list []any) (any, error) {
	out := make([]any, len(list))
	for i, v := range list {
		var err error
		if out[i], err = plain(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func plainRows(rows []wire.Row) (any, error) {
	out := make([]any, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = plainValues(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func plainValues(dict map[string]any) (any, error) {
	out := make(map[string]any, len(dict))
	for k, v := range dict {
		var err error
		if out[k], err = plain(v); err != nil {
			return nil, err
		}
		if _, err = plainText(k); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plainText refuses what a router would end the session for.
func plainText(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("a text is not UTF-8")
	}
	return s, nil
}

// plainFloat refuses what JSON cannot say: some receiver may ask for JSON.
func plainFloat(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("a number is not finite")
	}
	return f, nil
}

// into gives a plain value the type that the contract says.
func into[T any](v any) (T, error) {
	var out T
	if same, ok := v.(T); ok {
		return same, nil
	}
	switch p := any(&out).(type) {
	case *wire.Row:
		if m, ok := v.(map[string]any); ok {
			*p = m
			return out, nil
		}
	case *[]wire.Row:
		if rows, ok := asRows(v); ok {
			*p = rows
			return out, nil
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return out, err
	}
	err = json.Unmarshal(data, &out)
	return out, err
}

func asRows(v any) ([]wire.Row, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	rows := make([]wire.Row, len(list))
	for i, e := range list {
		if rows[i], ok = e.(map[string]any); !ok {
			return nil, false
		}
	}
	return rows, true
}

// plainList copies what a peer sent; what cannot be plain, which only a peer in this process can send, becomes nil.
func plainList(list wamp.List) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i], _ = plain(v)
	}
	return out
}

func plainDict(dict wamp.Dict) map[string]any {
	out := make(map[string]any, len(dict))
	for k, v := range dict {
		out[k], _ = plain(v)
	}
	return out
}

// number reads an id or a count of a message's details.
func number(v any) uint64 {
	v, _ = plain(v)
	switch n := v.(type) {
	case uint64:
		return n
	case float64:
		if n > 0 && n < 1<<53 {
			return uint64(n)
		}
	}
	return 0
}
