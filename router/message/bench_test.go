package message

import (
	"fmt"
	"strings"
	"testing"
)

// 128 bytes of payload, as the load tests send them.
var benchPayload = `["` + strings.Repeat("x", 124) + `"]`

const benchRow = `[{"tsp":"2026-02-03T04:05:06.789Z","temperature":21.5,"humidity":47,"state":"running","alarm":false,"serial":"a7c3b1d2"}]`

func BenchmarkDecodePublish(b *testing.B) {
	for name, payload := range map[string]string{"text": benchPayload, "row": benchRow} {
		for _, f := range formats {
			b.Run(name+"/"+f.String(), func(b *testing.B) {
				frame := transcoded(b, `[16,239714735,{"acknowledge":true},"4711.815.measurements",`+payload+`]`, f)
				b.ReportAllocs()
				b.SetBytes(int64(len(frame)))
				for b.Loop() {
					if _, err := Decode(f, frame); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func benchmarkAppend(b *testing.B, name string, m func(Payload) Message) {
	for _, f := range formats {
		for _, from := range formats {
			p, err := payloadOf(benchPayload, "").In(from)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%s payload in %s", name, from, f), func(b *testing.B) {
				buf, m := make([]byte, 0, 1024), m(p)
				b.ReportAllocs()
				for b.Loop() {
					if buf, err = Append(buf[:0], f, m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	benchmarkAppend(b, "EVENT", func(p Payload) Message {
		return &Event{
			Subscription: 5512315355, Publication: 4429313566,
			Details: EventDetails{Publisher: Identity{Session: 77, AuthID: "a7c3b1d2-0000", AuthRole: "device"}}, Payload: p,
		}
	})
	benchmarkAppend(b, "INVOCATION", func(p Payload) Message {
		return &Invocation{Request: 7, Registration: 5512315355, Payload: p}
	})
	benchmarkAppend(b, "RESULT", func(p Payload) Message { return &Result{Request: 7, Payload: p} })
	benchmarkAppend(b, "PUBLISHED", func(Payload) Message { return &Published{Request: 7, Publication: 4429313566} })
}

// These are promises of the package's comment.
func TestHotMessagesCostNoGarbage(t *testing.T) { // not parallel: it counts allocations
	for _, f := range formats {
		p, err := payloadOf(benchPayload, "").In(f)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, 1024)
		for _, m := range []Message{
			&Event{Subscription: 1, Publication: 2, Details: EventDetails{Topic: "a.b", Publisher: Identity{Session: 5, AuthID: "x"}}, Payload: p},
			&Published{Request: 1, Publication: 2},
			&Result{Request: 1, Payload: p},
			&Invocation{Request: 1, Registration: 2, Payload: p},
		} {
			if n := testing.AllocsPerRun(100, func() { buf, _ = Append(buf[:0], f, m) }); n != 0 {
				t.Errorf("%s in %s: %v allocations", m.Code(), f, n)
			}
		}
		frame := transcoded(t, `[16,239714735,{"acknowledge":true},"4711.815.measurements",`+benchPayload+`]`, f)
		if n := testing.AllocsPerRun(100, func() { _, _ = Decode(f, frame) }); n > 2 {
			t.Errorf("decode PUBLISH in %s: %v allocations", f, n)
		}
	}
}
