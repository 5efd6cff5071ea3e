package message

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestLongListsAndDictionariesAreTranscoded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 15, 16, 23, 24, 255, 256, 65536} {
		list, dict := make([]any, n), make(Dict, n)
		for i := range n {
			list[i] = uint64(i)
			dict[fmt.Sprint(i)] = []any{true}
		}
		p, err := NewPayload(JSON, list, dict)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range formats {
			q, err := p.In(f)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Decode(f, mustAppend(t, f, &Yield{Request: 1, Payload: q}))
			if err != nil {
				t.Fatalf("%d in %s: %v", n, f, err)
			}
			args, kwargs, err := m.(*Yield).Payload.Decode()
			if err != nil || !reflect.DeepEqual(args, list) || !reflect.DeepEqual(kwargs, dict) {
				t.Errorf("%d in %s: %d, %d, %v", n, f, len(args), len(kwargs), err)
			}
			oracle, err := byLibrary(f, []byte(q.args))
			if err != nil || !reflect.DeepEqual(oracle, any(list)) {
				t.Errorf("%d in %s: a library reads something else: %v", n, f, err)
			}
		}
	}
}

func mustAppend(t *testing.T, f Format, m Message) []byte {
	t.Helper()
	frame, err := Append(nil, f, m)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func TestHeadersThatLieCostNoMemory(t *testing.T) { // not parallel: it counts bytes
	const size = 1 << 16
	padding := strings.Repeat("\xc0", size)
	deepLists := strings.Repeat("\xdd\x00\x00\xff\x00", MaxDepth-3)
	for name, tt := range map[string]struct {
		f     Format
		frame string
	}{
		"lists within lists":     {MsgPack, "\x93\x01\xa1r\x81\xa1a" + deepLists + padding},
		"lists of ids":           {MsgPack, "\x94\x10\x01\x81\xa7exclude\xdd\x00\x00\xff\x00" + padding},
		"a dictionary":           {MsgPack, "\x93\x01\xa1r\xdf\x00\x00\x7f\x00" + padding},
		"texts beyond the frame": {CBOR, "\x83\x01\x7b\x7f\xff\xff\xff\xff\xff\xff\xff" + padding},
		"lists in CBOR":          {CBOR, "\x83\x01\x61r\xa1\x61a" + strings.Repeat("\x9a\x00\x00\xff\x00", MaxDepth-3) + padding},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Decode(tt.f, []byte(tt.frame))
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: got %v", name, m)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 128*size {
			t.Errorf("%s: %d bytes of memory for a frame of %d", name, spent, len(tt.frame))
		}
	}
}
