package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"
)

// codec is a serializer as other people's libraries have it. What it decodes has int64, float64, string, []byte, bool, nil,
// list and dict.
type codec struct {
	protocol string
	binary   bool
	marshal  func(any) ([]byte, error)
	parse    func([]byte) (any, error)
}

var (
	asJSON    = codec{"wamp.2.json", false, json.Marshal, parseJSON}
	asMsgPack = codec{"wamp.2.msgpack", true, msgpack.Marshal, parseMsgPack}
	asCBOR    = codec{"wamp.2.cbor", true, cbor.Marshal, parseCBOR}
	codecs    = []codec{asJSON, asMsgPack, asCBOR}
)

func (c codec) encode(m list) ([]byte, error) { return c.marshal(m) }

func (c codec) decode(data []byte) (list, error) {
	v, err := c.parse(data)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", data, err)
	}
	m, ok := plain(v).(list)
	if !ok || len(m) == 0 {
		return nil, fmt.Errorf("%v is not a message", v)
	}
	return m, nil
}

func parseJSON(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

func parseMsgPack(data []byte) (v any, err error) {
	err = msgpack.Unmarshal(data, &v)
	return v, err
}

func parseCBOR(data []byte) (v any, err error) {
	err = cbor.Unmarshal(data, &v)
	return v, err
}

// plain makes the libraries' kinds of integer and dictionary one.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case int8, int16, int32, int, uint8, uint16, uint32, uint64, uint:
		var n int64
		_, _ = fmt.Sscan(fmt.Sprint(v), &n)
		return n
	case float32:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case map[any]any:
		d := make(dict, len(v))
		for k := range v {
			d[fmt.Sprint(k)] = plain(v[k])
		}
		return d
	default:
		return v
	}
}
