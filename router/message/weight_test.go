package message

import (
	"errors"
	"strings"
	"testing"
)

// bombs are arguments that take a hundred times as much memory as their own size.
var bombs = map[string]struct {
	f    Format
	args string
}{
	"dictionaries in MessagePack": {MsgPack, "\xdd\x00\x17\x00\x00" + strings.Repeat("\x80", 0x17_0000)},
	"lists in MessagePack":        {MsgPack, "\xdd\x00\x30\x00\x00" + strings.Repeat("\x90", 0x30_0000)},
	"numbers in MessagePack":      {MsgPack, "\xdd\x00\x60\x00\x00" + strings.Repeat("\x01", 0x60_0000)},
	"dictionaries in CBOR":        {CBOR, "\x9a\x00\x17\x00\x00" + strings.Repeat("\xa0", 0x17_0000)},
	"dictionaries in JSON":        {JSON, "[" + strings.Repeat("{},", 0x17_0000) + "{}]"},
}

func TestArgumentsThatWouldTakeTooMuchMemoryAreNotDecoded(t *testing.T) {
	t.Parallel()
	for name, bomb := range bombs {
		for where, p := range map[string]Payload{
			"args":   {format: bomb.f, args: bomb.args},
			"kwargs": {format: bomb.f, args: map[Format]string{JSON: "[]", MsgPack: "\x90", CBOR: "\x80"}[bomb.f], kwargs: inDict(bomb.f, bomb.args)},
		} {
			if args, kwargs, err := p.Decode(); !errors.Is(err, ErrWeight) || args != nil || kwargs != nil {
				t.Errorf("%s in %s: %d arguments, %d keyword arguments, %v", name, where, len(args), len(kwargs), err)
			}
			if w := p.Weight(); w <= MaxWeight {
				t.Errorf("%s in %s: weighs %d", name, where, w)
			}
			if _, err := ToNexus(&Call{Request: 1, Procedure: "com.example.x", Payload: p}); !errors.Is(err, ErrWeight) {
				t.Errorf("%s in %s: converted, %v", name, where, err)
			}
		}
	}
}

func inDict(f Format, value string) string {
	return map[Format]string{JSON: `{"k":` + value + "}", MsgPack: "\x81\xa1k" + value, CBOR: "\xa1\x61k" + value}[f]
}

func TestTheLargestBulkOfRowsIsDecoded(t *testing.T) {
	t.Parallel()
	const rows = 50_000
	row := Dict{"tsp": 1.7e12}
	for _, name := range strings.Fields("temperature pressure humidity voltage current frequency power speed torque") {
		row[name] = 21.5
	}
	list := make([]any, rows)
	for i := range list {
		list[i] = row
	}
	for _, f := range formats {
		p, err := NewPayload(f, []any{list}, nil)
		if err != nil {
			t.Fatal(err)
		}
		args, _, err := p.Decode()
		if err != nil || len(args[0].([]any)) != rows {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestWeighingAndDecodingAgree(t *testing.T) {
	t.Parallel()
	p, err := NewPayload(JSON, []any{"x", []any{1, 2.5, nil, []byte{1, 2}}, Dict{"a": Dict{}}}, Dict{"k": []any{true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range formats {
		q, err := p.In(f)
		if err != nil {
			t.Fatal(err)
		}
		_, first, _ := decodeValue(q.format, q.args, 0)
		if _, all, _ := decodeValue(q.format, q.kwargs, first); all != q.Weight() || all == 0 {
			t.Errorf("%s: weighs %d, takes %d", f, q.Weight(), all)
		}
	}
}
