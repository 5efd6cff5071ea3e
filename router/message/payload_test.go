package message

import (
	"encoding/json"
	"math"
	"net"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/secret"
)

// payloadField is the payload of m, nil where its type has none.
func payloadField(m Message) *Payload {
	switch m := m.(type) {
	case *Abort:
		return &m.Payload
	case *Error:
		return &m.Payload
	case *Publish:
		return &m.Payload
	case *Event:
		return &m.Payload
	case *Call:
		return &m.Payload
	case *Result:
		return &m.Payload
	case *Invocation:
		return &m.Payload
	case *Yield:
		return &m.Payload
	}
	return nil
}

// inJSON transcodes the payload of m.
func inJSON(t *testing.T, m Message) Message {
	t.Helper()
	if p := payloadField(m); p != nil {
		var err error
		if *p, err = p.In(JSON); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

type temperature float64

type reading struct {
	Sensor string        `json:"sensor"`
	Value  temperature   `json:"value"`
	Notes  []string      `json:"notes,omitempty"`
	Age    time.Duration `json:"age"`
}

func TestGoValuesOfManyTypesBecomeArguments(t *testing.T) {
	t.Parallel()
	number, text := 5, "x"
	for _, tt := range []struct {
		name string
		in   any
		want string
	}{
		{"a named float", temperature(21.5), `21.5`},
		{"a float of 32 bits", float32(0.5), `0.5`},
		{"a small integer", int8(-3), `-3`},
		{"an unsigned byte", uint8(200), `200`},
		{"a large integer", uint64(1<<64 - 1), `18446744073709551615`},
		{"an id", ID(7), `7`},
		{"a named text", wamp.URI("a.b"), `"a.b"`},
		{"a list of texts", []string{"a", "b"}, `["a","b"]`},
		{"a list that is nil", []string(nil), `[]`},
		{"an array", [2]int{1, 2}, `[1,2]`},
		{"a list of lists", []wamp.List{{1}, {}}, `[[1],[]]`},
		{"a dictionary of numbers, in the order of its keys", map[string]int{"b": 2, "a": 1}, `{"a":1,"b":2}`},
		{"a named dictionary", wamp.Dict{"a": wamp.Dict{"b": wamp.List{nil}}}, `{"a":{"b":[null]}}`},
		{"a dictionary that is nil", wamp.Dict(nil), `{}`},
		{"a dictionary with named keys", map[wamp.URI]bool{"u": true}, `{"u":true}`},
		{"a dictionary with numbers as keys", map[int]string{1: "x"}, `{"1":"x"}`},
		{"a pointer", &number, `5`},
		{"a pointer that is nil", (*int)(nil), `null`},
		{"a pointer to a pointer", new(&text), `"x"`},
		{"a structure", reading{Sensor: "<s>", Value: 1e300, Age: time.Second}, `{"sensor":"<s>","value":1e+300,"age":1000000000}`},
		{"a time", time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), `"2026-02-03T04:05:06Z"`},
		{"an address", net.IPv4(192, 0, 2, 1), `"192.0.2.1"`},
		{"raw JSON", json.RawMessage(` {"a" : [9007199254740993, 5.0]} `), `{"a":[9007199254740993,5.0]}`},
		{"a number as JSON has it", json.Number("9007199254740993"), `9007199254740993`},
		{"a binary", []byte{1, 2, 3}, `"\u0000AQID"`},
		{"a named binary", serializedBinary{1, 2, 3}, `"\u0000AQID"`},
		{"NaN", math.NaN(), `null`},
		{"a secret", secret.FromString("s"), `"` + secret.Redacted + `"`},
	} {
		for _, f := range formats {
			p, err := NewPayload(f, []any{tt.in}, nil)
			if err != nil {
				t.Errorf("%s in %s: %v", tt.name, f, err)
				continue
			}
			if p, err = p.In(JSON); err != nil || p.args != "["+tt.want+"]" {
				t.Errorf("%s in %s: got %s, %v, want [%s]", tt.name, f, p.args, err, tt.want)
			}
		}
	}
}

type serializedBinary []byte

func TestGoValuesWithoutAnEncodingAreRefused(t *testing.T) {
	t.Parallel()
	loop := map[string]any{}
	loop["loop"] = loop
	list := []any{nil}
	list[0] = list
	var self any
	self = &self
	for name, v := range map[string]any{
		"a channel":                   make(chan int),
		"a function":                  func() {},
		"a text that is not UTF-8":    "\xff",
		"a key that is not UTF-8":     Dict{"\xff": 1},
		"a dictionary in itself":      loop,
		"a list in itself":            list,
		"a pointer to itself":         self,
		"raw JSON that is none":       json.RawMessage("{"),
		"a number that is none":       json.Number("five"),
		"raw JSON with a key twice":   json.RawMessage(`{"a":1,"a":2}`),
		"a channel in a structure":    struct{ C chan int }{},
		"a channel in a nested value": []any{Dict{"a": []chan int{nil}}},
	} {
		for _, f := range formats {
			if p, err := NewPayload(f, []any{v}, nil); err == nil {
				t.Errorf("%s in %s became %q", name, f, p.args)
			}
			if _, err := NewPayload(f, nil, Dict{"v": v}); err == nil {
				t.Errorf("%s in %s became a kwarg", name, f)
			}
		}
	}
}

func TestAPayloadKnowsWhetherThereAreArguments(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		none, err := NewPayload(f, nil, nil)
		if err != nil || !none.IsZero() || none.Size() != 0 || none.Format() != NoFormat {
			t.Errorf("got %+v, %v", none, err)
		}
		if args, kwargs, err := none.Decode(); args != nil || kwargs != nil || err != nil {
			t.Errorf("got %v, %v, %v", args, kwargs, err)
		}
		empty, err := NewPayload(f, []any{}, nil)
		if err != nil || empty.IsZero() || empty.Size() == 0 || empty.kwargs != "" {
			t.Errorf("got %+v, %v", empty, err)
		}
		named, err := NewPayload(f, nil, Dict{"a": 1})
		if err != nil || named.args != emptyList[f] {
			t.Errorf("got %+v, %v", named, err)
		}
		if args, kwargs, err := named.Decode(); args == nil || len(args) != 0 || kwargs["a"] != uint64(1) || err != nil {
			t.Errorf("got %v, %v, %v", args, kwargs, err)
		}
	}
	if _, err := payloadOf("[]", "").In(NoFormat); err == nil {
		t.Error("transcoded to nothing")
	}
}

func TestTranscodingToTheSameSerializerCostsNothing(t *testing.T) {
	t.Parallel()
	p := payloadOf(`[ 1 ]`, ``)
	if q, err := p.In(JSON); err != nil || q != p {
		t.Errorf("got %+v, %v", q, err)
	}
}
