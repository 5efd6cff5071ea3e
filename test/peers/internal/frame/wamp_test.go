package frame

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var ids = []uint64{0, 1, 23, 24, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1 << 53}

func eachSerializer(t *testing.T, f func(t *testing.T, s Serializer)) {
	t.Helper()
	for s := range Serializer(Serializers) {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

// unmasked gives the payload of one client frame.
func unmasked(t *testing.T, b []byte) []byte {
	t.Helper()
	b = bytes.Clone(b)
	b[1] &^= 0x80
	header, n, err := parseHeader(b)
	if err != nil || len(b) != header+4+n {
		t.Fatalf("frame of %d bytes: header %d, payload %d, %v", len(b), header, n, err)
	}
	body := b[header+4:]
	applyMask(body)
	return body
}

func TestATemplateMakesWhatTheEncoderMakes(t *testing.T) {
	t.Parallel()
	eachSerializer(t, func(t *testing.T, s Serializer) {
		options := map[string]any{"acknowledge": true}
		template, err := NewTemplate(s, 16, options, "a.topic", Payload)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			stamp := Stamp{Sender: 7, Seq: 0xabcdef, Nanos: 123456789}
			text := []byte(blank)
			writeStamp(text, stamp)
			want, err := s.Marshal(16, id, options, "a.topic", []any{string(text)})
			if err != nil {
				t.Fatal(err)
			}
			got := unmasked(t, template.Append(nil, id, stamp))
			if !bytes.Equal(got, want) {
				t.Errorf("id %d: %q, want %q", id, got, want)
			}
			if read, ok := s.ReadStamp(got); !ok || read != stamp {
				t.Errorf("id %d: read stamp %v, %v", id, read, ok)
			}
		}
	})
}

func TestTheHeadOfEveryMessageIsRead(t *testing.T) {
	t.Parallel()
	eachSerializer(t, func(t *testing.T, s Serializer) {
		for _, id := range ids {
			for _, c := range []struct {
				rest []any
				want Head
			}{
				{[]any{uint64(17), id, id + 1}, Head{17, [2]uint64{id, id + 1}}},
				{[]any{uint64(50), id, map[string]any{}}, Head{50, [2]uint64{id, 0}}},
				{[]any{uint64(8), uint64(48), id, map[string]any{}, "an.error"}, Head{8, [2]uint64{48, id}}},
				{[]any{uint64(3), map[string]any{}, "a.reason"}, Head{Code: 3}},
			} {
				b, err := s.Marshal(c.rest...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.ParseHead(b)
				if err != nil || got != c.want {
					t.Errorf("%v: %v, %v, want %v", c.rest, got, err, c.want)
				}
			}
		}
	})
}

func TestAHeadIsWrittenAsItIsRead(t *testing.T) {
	t.Parallel()
	eachSerializer(t, func(t *testing.T, s Serializer) {
		for _, id := range ids {
			b := AppendHead(nil, s, 33, id, id/2)
			want, err := s.Marshal(uint64(33), id, id/2)
			if err != nil || !bytes.Equal(b, want) {
				t.Errorf("%q, want %q (%v)", b, want, err)
			}
		}
	})
}

func TestAPayloadIsFoundBeforeKeywordArguments(t *testing.T) {
	t.Parallel()
	eachSerializer(t, func(t *testing.T, s Serializer) {
		b, err := s.Marshal(uint64(36), uint64(1), uint64(2), map[string]any{}, []any{blank}, map[string]any{"k": "v"})
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := s.FindPayload(b); !ok || string(p) != blank {
			t.Errorf("found %q, %v", p, ok)
		}
		if _, ok := s.FindPayload(b[:len(b)/2]); ok {
			t.Error("found a payload in half a message")
		}
	})
}

func TestAMessageIsPutAroundAPayload(t *testing.T) {
	t.Parallel()
	eachSerializer(t, func(t *testing.T, s Serializer) {
		head, tail, err := Around(s, 36, 1, 1, map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		whole := fmt.Appendf(nil, "%s%s%s", head, blank, tail)
		message, err := s.Unmarshal(whole)
		if err != nil || len(message) != 5 {
			t.Fatalf("%q: %v, %v", whole, message, err)
		}
		if diff := cmp.Diff([]any{blank}, message[4]); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	f.Add(uint8(0), []byte(`[36,12,34,{},["x"]]`))
	f.Add(uint8(1), []byte{0x93, 0x11, 0xcf, 0, 0, 0, 0, 0, 0, 0, 9, 0xcd, 1})
	f.Add(uint8(2), []byte{0x83, 0x18, 0x24, 0x1b, 0, 0})
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		s := Serializer(which % Serializers)
		h, err := s.ParseHead(b)
		if err != nil {
			return
		}
		if _, err := s.ParseHead(AppendHead(nil, s, h.Code, h.IDs[0], h.IDs[1])); err != nil {
			t.Errorf("%q was read as %v, which cannot be read: %v", b, h, err)
		}
		s.ReadStamp(b)
	})
}
