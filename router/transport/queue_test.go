package transport

import (
	"testing"

	"pgregory.net/rapid"

	"bulkhead/router/message"
)

// The queue against a list that does the same by copying.
func TestTheQueueIsAListOfFrames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []*frame
		inFlight, dropped, number := 0, uint64(0), byte(0)
		sum := func() (n int) {
			for _, f := range model {
				n += len(f.data)
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				number++
				f := &frame{data: make([]byte, rapid.IntRange(1, 50).Draw(t, "size"))}
				f.data[0] = number
				if rapid.Bool().Draw(t, "event") {
					f.event = &message.Event{}
				}
				q.push(f)
				model = append(model, f)
			},
			"pop": func(t *rapid.T) {
				size := rapid.IntRange(0, 100).Draw(t, "size")
				var want []*frame
				for n := 0; len(model) > 0; {
					if n += len(model[0].data); n > size && len(want) > 0 {
						break
					}
					want, model = append(want, model[0]), model[1:]
				}
				got := q.pop(nil, size)
				if len(got) != len(want) {
					t.Fatalf("got %d frames, want %d", len(got), len(want))
				}
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("frame %d is not the one", i)
					}
					inFlight += len(got[i].data)
				}
			},
			"written": func(*rapid.T) {
				q.bytes -= inFlight
				inFlight = 0
			},
			"drop": func(t *rapid.T) {
				limit := rapid.IntRange(-10, 200).Draw(t, "limit")
				var kept []*frame
				over := sum() + inFlight - limit
				for _, f := range model {
					if over > 0 && f.event != nil {
						over -= len(f.data)
						dropped++
						continue
					}
					kept = append(kept, f)
				}
				model = kept
				if _, enough := q.dropOldest(limit); enough != (over <= 0) {
					t.Fatalf("enough: %t, over by %d", enough, over)
				}
			},
			"": func(t *rapid.T) {
				if q.bytes != sum()+inFlight || q.dropped != dropped {
					t.Fatalf("%d bytes and %d dropped, want %d and %d", q.bytes, q.dropped, sum()+inFlight, dropped)
				}
			},
		})
	})
}

func TestAnEmptyQueueHoldsNoMemory(t *testing.T) {
	t.Parallel()
	var q queue
	for range 100 {
		q.push(&frame{data: make([]byte, 10)})
	}
	q.pop(nil, 1<<20)
	if q.frames != nil {
		t.Error("it holds a list")
	}
}

func TestAQueueThatDropsAllTheTimeDoesNotGrow(t *testing.T) {
	t.Parallel()
	var q queue
	q.push(&frame{data: make([]byte, 10)}) // a reply that stays
	for range 100_000 {
		q.push(&frame{data: make([]byte, 10), event: &message.Event{}})
		q.dropOldest(100)
	}
	if cap(q.frames) > 10_000 {
		t.Errorf("it has room for %d frames", cap(q.frames))
	}
}
