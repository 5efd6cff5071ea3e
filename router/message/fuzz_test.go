package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
)

func FuzzDecodeJSON(f *testing.F)    { fuzzDecode(f, JSON) }
func FuzzDecodeMsgPack(f *testing.F) { fuzzDecode(f, MsgPack) }
func FuzzDecodeCBOR(f *testing.F)    { fuzzDecode(f, CBOR) }

// seeds adds the vectors, the refusals, and values that only one serializer has.
func seeds(f *testing.F, format Format, add func(frame []byte)) {
	for _, frames := range vectorFrames(f) {
		add(frames[format])
	}
	for _, tt := range refusals {
		add(transcoded(f, tt.frame, format))
	}
	switch format {
	case JSON:
		add([]byte(`[16,1,{},"\u0000AQ==",[1e400,-0,"\ud800\"",{"\u0000AQ==":"\u0000AQ=="}],{"a":{"b":1},"c":null}]`))
	case MsgPack:
		add([]byte("\x95\x10\x01\x80\xa1t\x94\xd4\x00\x00\xd6\xff\x00\x00\x00\x01\xc7\x03\x05abc\xca\x7f\xc0\x00\x00"))
	case CBOR:
		add([]byte("\x9f\x10\x01\xbf\xff\x7f\x61t\xff\x86\xc2\x41\x05\xc3\x48\xff\xff\xff\xff\xff\xff\xff\xff\xf9\x7e\x00\x5f\x41a\xff\xf7\xc1\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00\xff"))
	}
}

// fuzzDecode shows that nothing panics, that what is refused is refused with a protocol error, and that what decodes is
// well-formed in a library's opinion and encodes to what decodes to the same.
func fuzzDecode(f *testing.F, format Format) {
	seeds(f, format, func(frame []byte) { f.Add(frame) })
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := Decode(format, frame)
		if err != nil {
			var violation *ProtocolError
			if m != nil || !errors.As(err, &violation) {
				t.Fatalf("got %v, %v", m, err)
			}
			if malformed(violation.Reason) && wellFormed(format, frame) {
				t.Fatalf("%q is well-formed, and refused: %v", frame, err)
			}
			return
		}
		if !wellFormed(format, frame) {
			t.Fatalf("accepted %q, which is not well-formed", frame)
		}
		again, err := Append(nil, format, m)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		got, err := Decode(format, again)
		if err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if diff := cmp.Diff(m, got, byMeaning); diff != "" {
			t.Fatalf("%q became %q: %s", frame, again, diff)
		}
	})
}

// wellFormed is a library's opinion.
func wellFormed(f Format, frame []byte) bool {
	switch f {
	case JSON:
		return json.Valid(frame) && utf8.Valid(frame)
	case MsgPack:
		r := bytes.NewReader(frame)
		return msgpack.NewDecoder(r).Skip() == nil && r.Len() == 0
	default:
		return cborOracle.Wellformed(frame) == nil
	}
}

// malformed reports whether a message was refused for what a library refuses, too.
func malformed(reason string) bool {
	return slices.Contains([]string{reasonShort, reasonJSON, reasonTrailing, "not MessagePack"}, reason)
}

// FuzzTranscode shows that every payload that Decode accepts has a form in every serializer, which Decode accepts, and which
// decodes to the same as the original but for what JSON lacks.
func FuzzTranscode(f *testing.F) {
	for _, format := range formats {
		seeds(f, format, func(frame []byte) { f.Add(byte(format), frame) })
	}
	f.Fuzz(func(t *testing.T, format byte, frame []byte) {
		m, err := Decode(Format(format), frame)
		if err != nil || payloadField(m) == nil {
			return
		}
		p := *payloadField(m)
		for _, to := range formats {
			q, err := p.In(to)
			if err != nil {
				t.Fatalf("%q to %s: %v", frame, to, err)
			}
			if q.IsZero() != p.IsZero() {
				t.Fatalf("%q to %s: got %q, %q", frame, to, q.args, q.kwargs)
			}
			publish := &Publish{Request: 1, Topic: "t", Payload: q, Options: PublishOptions{Passthru: &Passthru{EncAlgo: "x"}}}
			encoded, err := Append(nil, to, publish)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(to, encoded)
			if err != nil {
				t.Fatalf("%q to %s: %q: %v", frame, to, encoded, err)
			}
			if to != JSON && Format(format) != JSON && !cmp.Equal(p, got.(*Publish).Payload, byMeaning) {
				t.Fatalf("%q to %s: %q means something else", frame, to, encoded)
			}
		}
	})
}

// FuzzSplit shows that a batch comes apart into parts of itself.
func FuzzSplit(f *testing.F) {
	f.Add(byte(JSON), []byte("[6,{},\"r\"]\x1e[6,{},\"r\"]\x1e"))
	f.Add(byte(MsgPack), []byte("\x00\x00\x00\x01\xc0\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, format byte, batch []byte) {
		for rest := batch; len(rest) > 0; {
			frame, after, err := Split(Format(format), rest)
			if err != nil {
				return
			}
			if len(frame)+len(after) >= len(rest) {
				t.Fatalf("%q came apart into %q and %q", rest, frame, after)
			}
			rest = after
		}
	})
}
