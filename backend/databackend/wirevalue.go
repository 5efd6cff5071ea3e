package databackend

import (
	"bytes"
	"encoding/json"
	"time"
)

// WireValue gives a stored value the form in which clients see it.
func WireValue(v any) any {
	switch v := v.(type) {
	case time.Time:
		return wireInteger(v.UnixMilli())
	case int64:
		return wireInteger(v)
	case json.RawMessage:
		return decodedJSON(v)
	default:
		return v
	}
}

// wireInteger is unsigned where it can be: clients assert that of integers that come in MessagePack.
func wireInteger(n int64) any {
	if n >= 0 {
		return uint64(n)
	}
	return n
}

// decodedJSON reads JSON that the database or we wrote, keeping integers exact. It gives nil for what is no JSON.
func decodedJSON(data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return exact(v)
}

// exact replaces the json.Numbers in v, in place.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return wireInteger(n)
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String() // larger than any float: clients get its digits
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}
