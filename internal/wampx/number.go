package wampx

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/wire"
)

func plainNumber(v any) (any, bool) {
	switch v := v.(type) {
	case int:
		return integer(int64(v)), true
	case int64:
		return integer(v), true
	case int32:
		return integer(int64(v)), true
	case int16:
		return integer(int64(v)), true
	case int8:
		return integer(int64(v)), true
	case uint64:
		return v, true
	case uint:
		return uint64(v), true
	case uint32:
		return uint64(v), true
	case uint16:
		return uint64(v), true
	case uint8:
		return uint64(v), true
	case wamp.ID:
		return uint64(v), true
	case wire.Key:
		return uint64(v), true
	default:
		return nil, false
	}
}

// integer is unsigned where it can be: clients assert that of integers that come in MessagePack.
func integer(n int64) any {
	if n >= 0 {
		return uint64(n)
	}
	return n
}

func throughJSON(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return decodeJSON(data)
}

// decodeJSON reads one JSON value into plain values, integers exactly.
func decodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return exact(v)
}

// exact replaces the numbers of a decoded JSON value, in place.
func exact(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return exactNumber(v)
	case []any:
		for i := range v {
			if v[i], err = exact(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = exact(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func exactNumber(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return integer(i), nil
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u, nil
	}
	return n.Float64()
}
