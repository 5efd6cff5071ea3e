package wampx

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"
)

// Serializer is how messages are written. JSON, MessagePack and CBOR are the ones that there are.
type Serializer interface {
	protocol() string // the WebSocket sub-protocol
	binary() bool     // frames are binary, not text
	encode(list []any) ([]byte, error)
	decode(data []byte) ([]any, error)
}

// The serializers. A program links only those that it names.
var (
	JSON        Serializer = jsonSerializer{}
	MessagePack Serializer = msgpackSerializer{}
	CBOR        Serializer = cborSerializer{}
)

var errNoList = errors.New("a message is a list")

type jsonSerializer struct{}

func (jsonSerializer) protocol() string { return "wamp.2.json" }
func (jsonSerializer) binary() bool     { return false }

func (jsonSerializer) encode(list []any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(binariesAsText(list)); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func (jsonSerializer) decode(data []byte) ([]any, error) {
	v, err := decodeJSON(data)
	if err != nil {
		return nil, err
	}
	list, ok := textAsBinaries(v).([]any)
	if !ok {
		return nil, errNoList
	}
	return list, nil
}

// binariesAsText writes binaries as the specification asks of JSON: a NUL, then base64.
func binariesAsText(v any) any {
	switch v := v.(type) {
	case []byte:
		return "\x00" + base64.StdEncoding.EncodeToString(v)
	case []any:
		for i := range v {
			v[i] = binariesAsText(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = binariesAsText(v[k])
		}
	}
	return v
}

func textAsBinaries(v any) any {
	switch v := v.(type) {
	case string:
		if encoded, ok := strings.CutPrefix(v, "\x00"); ok {
			if b, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				return b
			}
		}
	case []any:
		for i := range v {
			v[i] = textAsBinaries(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = textAsBinaries(v[k])
		}
	}
	return v
}

type cborSerializer struct{}

var cborDecoder = sync.OnceValues(func() (cbor.DecMode, error) {
	return cbor.DecOptions{DefaultMapType: mapType, MaxNestedLevels: maxNesting, UTF8: cbor.UTF8RejectInvalid}.DecMode()
})

func (cborSerializer) protocol() string                  { return "wamp.2.cbor" }
func (cborSerializer) binary() bool                      { return true }
func (cborSerializer) encode(list []any) ([]byte, error) { return cbor.Marshal(list) }

func (cborSerializer) decode(data []byte) ([]any, error) {
	mode, err := cborDecoder()
	if err != nil {
		return nil, err
	}
	var list []any
	err = mode.Unmarshal(data, &list)
	return list, err
}

type msgpackSerializer struct{}

func (msgpackSerializer) protocol() string { return "wamp.2.msgpack" }
func (msgpackSerializer) binary() bool     { return true }

func (msgpackSerializer) encode(list []any) ([]byte, error) {
	var b bytes.Buffer
	enc := msgpack.NewEncoder(&b)
	enc.UseCompactInts(true)
	err := enc.Encode(list)
	return b.Bytes(), err
}

func (msgpackSerializer) decode(data []byte) ([]any, error) {
	if err := wellShaped(data); err != nil {
		return nil, err
	}
	v, err := msgpack.NewDecoder(bytes.NewReader(data)).DecodeInterface()
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, errNoList
	}
	return list, nil
}
