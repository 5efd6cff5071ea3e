package message

import (
	"bytes"
	"errors"
	"testing"
)

func TestSubprotocolsAreReadAndWritten(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		f       Format
		batched bool
	}{
		"wamp.2.json":            {JSON, false},
		"wamp.2.msgpack":         {MsgPack, false},
		"wamp.2.cbor":            {CBOR, false},
		"wamp.2.json.batched":    {JSON, true},
		"wamp.2.msgpack.batched": {MsgPack, true},
		"wamp.2.cbor.batched":    {CBOR, true},
	} {
		f, batched, ok := ParseSubprotocol(name)
		if f != want.f || batched != want.batched || !ok {
			t.Errorf("%s: got %s, %t, %t", name, f, batched, ok)
		}
		if got := Subprotocol(want.f, want.batched); got != name {
			t.Errorf("got %s, want %s", got, name)
		}
	}
	for _, name := range []string{"", "json", "wamp.2.", "wamp.2.none", "wamp.2.ubjson", "wamp.1.json", "WAMP.2.JSON", "wamp.2.json.", "wamp.2.batched"} {
		if f, _, ok := ParseSubprotocol(name); ok || f != NoFormat {
			t.Errorf("%q is read as %s", name, f)
		}
	}
}

func TestSerializersOfRawSocketsAreNumbered(t *testing.T) {
	t.Parallel()
	for n, want := range map[byte]Format{1: JSON, 2: MsgPack, 3: CBOR} {
		if got, ok := RawSocketFormat(n); got != want || !ok {
			t.Errorf("%d: got %s, %t", n, got, ok)
		}
	}
	for _, n := range []byte{0, 4, 15, 255} {
		if f, ok := RawSocketFormat(n); ok {
			t.Errorf("%d is %s", n, f)
		}
	}
}

func TestOnlyJSONTravelsInTextFrames(t *testing.T) {
	t.Parallel()
	if JSON.Binary() || !MsgPack.Binary() || !CBOR.Binary() {
		t.Error("wrong")
	}
	if got := Format(200).String(); got != "none" {
		t.Errorf("got %s", got)
	}
}

func TestBatchesHaveTheSpecifiedForm(t *testing.T) {
	t.Parallel()
	for f, want := range map[Format]string{
		JSON:    `[17,1,2]` + "\x1e" + `[34,1,2]` + "\x1e",
		MsgPack: "\x00\x00\x00\x04\x93\x11\x01\x02\x00\x00\x00\x04\x93\x22\x01\x02",
		CBOR:    "\x00\x00\x00\x04\x83\x11\x01\x02\x00\x00\x00\x05\x83\x18\x22\x01\x02",
	} {
		batch, err := AppendBatched(nil, f, &Published{Request: 1, Publication: 2})
		if err != nil {
			t.Fatal(err)
		}
		if batch, err = AppendBatched(batch, f, &Unsubscribe{Request: 1, Subscription: 2}); err != nil || string(batch) != want {
			t.Errorf("%s: got %q, %v, want %q", f, batch, err, want)
		}
	}
}

func TestBrokenBatchesAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		f     Format
		batch string
	}{
		{JSON, ""},
		{JSON, `[17,1,2]`},
		{MsgPack, ""},
		{MsgPack, "\x00\x00\x00"},
		{MsgPack, "\x00\x00\x00\x05\x93\x11\x01\x02"},
		{CBOR, "\xff\xff\xff\xff\x83\x11\x01\x02"},
	} {
		frame, rest, err := Split(tt.f, []byte(tt.batch))
		var violation *ProtocolError
		if frame != nil || rest != nil || !errors.As(err, &violation) {
			t.Errorf("%s %q: got %q, %q, %v", tt.f, tt.batch, frame, rest, err)
		}
	}
}

func TestWhatCannotBeEncodedLeavesTheBufferAsItWas(t *testing.T) {
	t.Parallel()
	before := []byte("before")
	for _, f := range formats {
		for name, m := range map[string]Message{
			"invalid UTF-8":          &Publish{Request: 1, Topic: "a\xffb"},
			"invalid UTF-8 in a key": &Hello{Realm: "r", Details: Dict{"\xff": 1}},
			"a channel":              &Welcome{Session: 1, Details: Dict{"x": make(chan int)}},
			"a foreign message":      foreign{},
			"too deep a dictionary":  &Goodbye{Details: deep(MaxDepth), Reason: "r"},
		} {
			for _, encode := range []func([]byte, Format, Message) ([]byte, error){Append, AppendBatched} {
				got, err := encode(before, f, m)
				if err == nil || !bytes.Equal(got, before) {
					t.Errorf("%s in %s: got %q, %v", name, f, got, err)
				}
			}
		}
		if _, err := Append(nil, f, &Goodbye{Details: deep(MaxDepth - 1), Reason: "r"}); err != nil {
			t.Error(err)
		}
	}
}

type foreign struct{}

func (foreign) Code() Code { return CodeCall }

// deep is a dictionary of that many levels.
func deep(levels int) Dict {
	if levels == 1 {
		return Dict{}
	}
	return Dict{"a": deep(levels - 1)}
}
