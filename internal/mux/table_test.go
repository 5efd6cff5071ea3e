package mux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// take has a table take a message, as a session does.
func take(t *table, text []byte, now time.Time) error {
	for len(text) > 0 {
		if len(text) < headSize {
			return broke("a frame is cut off")
		}
		h, err := parseHead(text)
		if err != nil {
			return err
		}
		if text = text[headSize:]; len(text) < h.length {
			return broke("a frame is cut off")
		}
		body := text[:h.length]
		text = text[h.length:]
		switch {
		case h.kind == kindData:
			c := newChunk()
			c.filled(copy(c.space(maxData), body))
			_, err = t.data(h.stream, c)
		case h.kind == kindBye:
			return errBye
		case h.length == valueSize:
			err = t.receive(frame{h.kind, h.stream, binary.BigEndian.Uint64(body)}, now)
		default:
			err = t.receive(frame{kind: h.kind, stream: h.stream}, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flow is one direction of a stream as anybody would think of it: what is written comes out in order, and then the end.
type flow struct {
	written, read int
	ended, eof    bool
	cut           bool // by a reset: it may break off anywhere
}

// world is two tables, the messages between them, and what a simple mind expects.
type world struct {
	*rand.Rand
	t     *testing.T
	now   time.Time
	sides [2]*table
	mail  [2][][]byte // to each side
	ends  [2]map[uint32]*stream
	flows [2]map[uint32]*flow // from each side
	taken map[uint32]bool     // by the side that did not open it; others are refused
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), t: t, now: start, taken: map[uint32]bool{}}
	for i := range w.sides {
		w.sides[i] = newTable(Config{Streams: 6, Window: 1 << 20, Budget: 2 << 20}, i == 0, new(sync.Mutex))
		w.ends[i], w.flows[i] = map[uint32]*stream{}, map[uint32]*flow{}
	}
	return w
}

func (w *world) begin(side int, s *stream) {
	w.ends[side][s.id] = s
	for i := range w.flows {
		if w.flows[i][s.id] == nil {
			w.flows[i][s.id] = &flow{}
		}
	}
}

// pattern is the byte at a place of a flow.
func pattern(side int, id uint32, at int) byte { return byte(at*7 + at>>8 + int(id)*13 + side) }

func (w *world) any(side int) *stream {
	var ids []uint32
	for id := range w.ends[side] {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil
	}
	least := ids[0] // a map's order is not the seed's
	pick := w.IntN(len(ids))
	for range pick + 1 {
		least = ids[0]
		for _, id := range ids {
			if id < least {
				least = id
			}
		}
		for i, id := range ids {
			if id == least {
				ids = append(ids[:i], ids[i+1:]...)
				break
			}
		}
	}
	return w.ends[side][least]
}

func (w *world) write(side int, s *stream, n int) {
	f := w.flows[side][s.id]
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(side, s.id, f.written+i)
	}
	n, err := w.put(side, s, b)
	if err != nil && !f.ended && !f.cut && w.taken[s.id] {
		w.t.Fatalf("stream %d cannot be written: %v", s.id, err)
	}
	f.written += n
}

// put writes, by copying or by chunks.
func (w *world) put(side int, s *stream, b []byte) (n int, err error) {
	if w.IntN(2) == 0 {
		return w.sides[side].write(s, b, w.now)
	}
	for taken := true; n < len(b); {
		c := newChunk()
		c.first = front + w.IntN(100)
		c.last = c.first + copy(c.bytes[c.first:front+maxData], b[n:])
		size := c.size()
		if taken, err = w.sides[side].take(s, c, w.now); err != nil || !taken {
			return n, err
		}
		n += size
	}
	return n, nil
}

// get reads, by copying or by chunks.
func (w *world) get(side int, s *stream, b []byte) (n int, err error) {
	if w.IntN(2) == 0 {
		return w.sides[side].read(s, b, w.now)
	}
	if len(b) < pieces*maxData {
		return w.sides[side].read(s, b, w.now)
	}
	some, err := w.sides[side].give(s, make([]*chunk, 0, pieces), w.now)
	for _, c := range some {
		n += copy(b[n:], c.data())
	}
	free(some)
	return n, err
}

func (w *world) read(side int, s *stream, most int) {
	f := w.flows[1-side][s.id]
	b := make([]byte, most)
	n, err := w.get(side, s, b)
	for i := range n {
		if b[i] != pattern(1-side, s.id, f.read+i) {
			w.t.Fatalf("stream %d has another byte at %d", s.id, f.read+i)
		}
	}
	f.read += n
	if errors.Is(err, io.EOF) {
		if f.eof = true; !f.ended || f.read != f.written {
			w.t.Fatalf("stream %d ends after %d of %d bytes", s.id, f.read, f.written)
		}
	} else if err != nil && !f.cut && w.taken[s.id] {
		w.t.Fatalf("stream %d cannot be read: %v", s.id, err)
	}
}

// send has a side send a message, deliver has it take one.
func (w *world) send(side int) bool {
	b := w.sides[side].compose(newChunk(), w.now).data()
	if len(b) > message {
		w.t.Fatalf("a message of %d bytes", len(b))
	}
	if len(b) > 0 {
		w.mail[1-side] = append(w.mail[1-side], b)
	}
	return len(b) > 0
}

func (w *world) deliver(side int) bool {
	if len(w.mail[side]) == 0 {
		return false
	}
	text := w.mail[side][0]
	w.mail[side] = w.mail[side][1:]
	if err := take(w.sides[side], text, w.now); err != nil {
		w.t.Fatalf("what an honest side sends is refused: %v", err)
	}
	for s := w.sides[side].accept(); s != nil; s = w.sides[side].accept() {
		w.begin(side, s)
		w.taken[s.id] = true
	}
	return true
}

func (w *world) check() {
	for _, side := range w.sides {
		grown := 0
		for _, s := range side.streams {
			grown += s.window - initialWindow
			if s.in.size > s.window || s.granted < 0 || s.out.size > queued {
				w.t.Fatalf("stream %d keeps %d unread of %d, %d unsent", s.id, s.in.size, s.window, s.out.size)
			}
		}
		if grown+side.room != side.config.Budget || side.room < 0 || side.theirs > side.config.Streams || side.theirs < 0 || side.stray < 0 {
			w.t.Fatalf("windows have grown by %d, room for %d; %d streams of the other side; %d bytes astray", grown, side.room, side.theirs, side.stray)
		}
	}
}

func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.IntN(3000)) * time.Microsecond)
	side := w.IntN(2)
	table := w.sides[side]
	table.rests = w.IntN(20) == 0
	s := w.any(side)
	switch action := w.IntN(40); {
	case action == 0:
		w.begin(side, table.open(w.now))
	case action < 12:
		w.send(side)
	case action < 24:
		w.deliver(side)
	case s == nil:
	case action < 29:
		w.write(side, s, 1+w.IntN(70_000))
	case action < 37:
		w.read(side, s, 1+w.IntN(100_000))
	case action == 37:
		if s.broken == nil {
			w.flows[side][s.id].ended = true
		}
		table.end(s, w.now)
	case action == 38 && w.IntN(4) == 0:
		w.flows[0][s.id].cut, w.flows[1][s.id].cut = true, true
		table.reset(s)
		delete(w.ends[side], s.id)
	case action == 39 && w.flows[1-side][s.id].eof:
		w.flows[side][s.id].ended = true
		table.close(s, w.now)
		delete(w.ends[side], s.id)
	}
	w.check()
}

// finish has all come through that is under way, and everybody end.
func (w *world) finish() {
	w.sides[0].rests, w.sides[1].rests = false, false
	for range 100_000 {
		w.now = w.now.Add(5 * time.Millisecond)
		busy := false
		for side, table := range w.sides {
			for w.send(side) || w.deliver(side) {
				busy = true
			}
			for id, s := range w.ends[side] {
				if w.flows[side][id].ended = true; s.broken == nil {
					table.end(s, w.now)
				}
				f := w.flows[1-side][id]
				w.read(side, s, 1<<20)
				if s.broken != nil || f.eof {
					table.close(s, w.now)
					delete(w.ends[side], id)
				}
				busy = true
			}
		}
		if !busy {
			return
		}
	}
	w.t.Fatal("it goes on and on")
}

func TestTwoSidesAgreeWithASimpleMind(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 1200 {
				w.step()
			}
			w.finish()
			w.check()
			for _, side := range w.sides {
				if len(side.streams) != 0 || side.theirs != 0 || side.room != side.config.Budget {
					t.Errorf("%d streams are left, %d of the other side, room for %d", len(side.streams), side.theirs, side.room)
				}
			}
			for side, flows := range w.flows {
				for id, f := range flows {
					if !f.cut && w.taken[id] && (f.read != f.written || !f.eof) {
						t.Errorf("stream %d from side %d: %d of %d bytes, end %v", id, side, f.read, f.written, f.eof)
					}
				}
			}
		})
	}
}

func message1(frames ...frame) (b []byte) {
	for _, f := range frames {
		b = f.append(b)
	}
	return b
}

func dataFrame(id uint32, n int) []byte {
	return append(appendHead(nil, kindData, n, id), make([]byte, n)...)
}

func repeated(text []byte, n int) (all []byte) {
	for range n {
		all = append(all, text...)
	}
	return all
}

func TestASideThatBreaksTheProtocolIsLeft(t *testing.T) {
	t.Parallel()
	opened := message1(frame{kind: kindOpen, stream: 1})
	for name, text := range map[string][]byte{
		"an unknown kind":                 {99, 0, 0, 0, 0, 0, 0, 1},
		"kind 0":                          make([]byte, headSize),
		"half a head":                     opened[:5],
		"data without bytes":              append(opened, appendHead(nil, kindData, 0, 1)...),
		"data that is cut off":            append(opened, dataFrame(1, 100)[:50]...),
		"more data than a frame has":      appendHead(nil, kindData, maxData+1, 1),
		"an end with bytes":               appendHead(opened, kindEnd, 3, 1),
		"a stream of its other's":         message1(frame{kind: kindOpen, stream: 2}),
		"a stream of number 0":            message1(frame{kind: kindOpen}),
		"a stream that is opened twice":   append(opened, opened...),
		"a stream out of order":           message1(frame{kind: kindOpen, stream: 5}, frame{kind: kindOpen, stream: 3}),
		"data of a stream that never was": dataFrame(7, 10),
		"the end of one that never was":   message1(frame{kind: kindEnd, stream: 8}),
		"credit for one that never was":   message1(frame{kindCredit, 8, 1}),
		"two ends":                        append(opened, message1(frame{kind: kindEnd, stream: 1}, frame{kind: kindEnd, stream: 1})...),
		"data after the end":              append(append(opened, message1(frame{kind: kindEnd, stream: 1})...), dataFrame(1, 1)...),
		"more than its window":            append(opened, repeated(dataFrame(1, maxData), initialWindow/maxData+1)...),
		"no credit":                       append(opened, message1(frame{kindCredit, 1, 0})...),
		"endless credit":                  append(opened, message1(frame{kindCredit, 1, maxCredit})...),
		"overflowing credit":              append(opened, message1(frame{kindCredit, 1, 1 << 63})...),
		"an answer to no mark":            message1(frame{kind: kindSeen, value: 1}),
		"a mark of a stream":              append(appendHead(nil, kindMark, valueSize, 1), make([]byte, valueSize)...),
		"endless questions":               repeated(message1(frame{kind: kindMark, value: 1}), maxControl+1),
		"a flood of streams":              floodOfStreams(maxControl + 10),
	} {
		side := newTable(Config{Streams: 4, Window: 1 << 20, Budget: 1 << 20}, false, new(sync.Mutex))
		if err := take(side, text, start); !errors.Is(err, errProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func floodOfStreams(n uint32) (b []byte) {
	for i := range n {
		b = frame{kind: kindOpen, stream: 2*i + 1}.append(b)
	}
	return b
}

func TestAHundredThousandStreamsAreNoMoreThanAllowed(t *testing.T) {
	t.Parallel()
	side := newTable(Config{Streams: 64, Window: 1 << 20, Budget: 1 << 20}, false, new(sync.Mutex))
	for i := range uint32(100_000) {
		err := take(side, append(message1(frame{kind: kindOpen, stream: 2*i + 1}), dataFrame(2*i+1, 10)...), start)
		if err != nil {
			t.Fatal(err)
		}
		side.compose(newChunk(), start) // it reads the refusals
	}
	if len(side.streams) != 64 || side.theirs != 64 {
		t.Errorf("%d streams", len(side.streams))
	}
}

// A stream that is opened and broken off at once still counts for as long as somebody here is busy with it.
func TestStreamsThatAreOpenedAndBrokenOffCountUntilTheyAreDoneWith(t *testing.T) {
	t.Parallel()
	side := newTable(Config{Streams: 2, Window: 1 << 20, Budget: 1 << 20}, false, new(sync.Mutex))
	var busy []*stream
	for i := range uint32(10) {
		id := 2*i + 1
		if err := take(side, message1(frame{kind: kindOpen, stream: id}), start); err != nil {
			t.Fatal(err)
		}
		if s := side.accept(); s != nil {
			busy = append(busy, s)
		}
		if err := take(side, message1(frame{kind: kindReset, stream: id}), start); err != nil {
			t.Fatal(err)
		}
	}
	if len(busy) != 2 || len(side.streams) != 0 {
		t.Errorf("%d are served, %d in the table", len(busy), len(side.streams))
	}
	for _, s := range busy {
		side.close(s, start)
	}
	if err := take(side, message1(frame{kind: kindOpen, stream: 101}), start); err != nil || side.accept() == nil {
		t.Error("there is no room again", err)
	}
}

func TestDataForStreamsThatAreOverIsTakenAsFarAsItWasGranted(t *testing.T) {
	t.Parallel()
	side := newTable(Config{Streams: 2, Window: 1 << 20, Budget: 1 << 20}, false, new(sync.Mutex))
	if err := take(side, message1(frame{kind: kindOpen, stream: 1}), start); err != nil {
		t.Fatal(err)
	}
	side.reset(side.accept())
	if err := take(side, repeated(dataFrame(1, 1024), initialWindow/1024), start); err != nil {
		t.Errorf("what was under way ends the session: %v", err)
	}
	if err := take(side, dataFrame(1, 1), start); !errors.Is(err, errProtocol) {
		t.Errorf("more than that: %v", err)
	}
}

func TestAStreamThatNobodyUsesIsForgotten(t *testing.T) {
	t.Parallel()
	side := newTable(Config{Streams: 2, Window: 1 << 20, Budget: 1 << 20}, false, new(sync.Mutex))
	if err := take(side, message1(frame{kind: kindOpen, stream: 1}), start); err != nil {
		t.Fatal(err)
	}
	side.close(side.accept(), start)
	if side.expire(start.Add(-time.Second)); len(side.streams) != 1 {
		t.Error("it is forgotten too soon")
	}
	if side.expire(start.Add(time.Second)); len(side.streams) != 0 || side.theirs != 0 {
		t.Error("it is kept")
	}
}

func TestWhatWasWrittenToItsEndIsSentBeforeTheSessionIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	whole, cut := w.sides[0].open(start), w.sides[0].open(start)
	for _, s := range []*stream{whole, cut} {
		w.begin(0, s)
		w.write(0, s, 50_000)
	}
	w.flows[0][whole.id].ended = true
	w.sides[0].end(whole, start)
	w.sides[0].over(true)
	for w.send(0) || w.deliver(1) {
		w.check()
	}
	if !w.sides[0].finished() {
		t.Error("something is left")
	}
	w.sides[1].over(false)
	w.read(1, w.ends[1][whole.id], 1<<20)
	w.read(1, w.ends[1][whole.id], 1<<20)
	if f := w.flows[0][whole.id]; !f.eof {
		t.Errorf("%d of %d bytes", f.read, f.written)
	}
	if s := w.ends[1][cut.id]; s != nil {
		if _, err := w.sides[1].read(s, make([]byte, 1<<20), start); err == nil {
			_, err = w.sides[1].read(s, make([]byte, 1), start)
			if !errors.Is(err, errOver) {
				t.Errorf("what was cut off ends with %v", err)
			}
		}
	}
}

// Who types is heard while others copy, also where little may be under way.
func TestAKeyGoesOutBeforeWhatWaited(t *testing.T) {
	t.Parallel()
	side := newTable(Config{}, true, new(sync.Mutex))
	bulk := side.open(start)
	bulk.credit, bulk.quickLeft = 16<<20, 0
	typed := side.open(start)
	big := make([]byte, queued)
	_, _ = side.write(bulk, big, start)
	for side.pace.open() {
		if len(side.compose(newChunk(), start).data()) == 0 {
			t.Fatal("nothing goes out")
		}
		_, _ = side.write(bulk, big, start)
	}
	if b := side.compose(newChunk(), start).data(); len(b) > headSize+valueSize {
		t.Errorf("%d bytes go out beyond what may be under way", len(b))
	}
	_, _ = side.write(typed, []byte("k"), start)
	b := side.compose(newChunk(), start).data()
	if h, err := parseHead(b); err != nil || h.stream != typed.id || h.length != 1 {
		t.Errorf("what goes out is %+v, %v", h, err)
	}
}

func TestInARestKeysGoOutInFewPacketsAndBulkDoesNot(t *testing.T) {
	t.Parallel()
	const trip = 40 * time.Millisecond
	side := newTable(Config{}, true, new(sync.Mutex))
	side.pace = known(1e6, trip)
	bulk, typed := side.open(start), side.open(start)
	bulk.quickLeft = 0
	side.rests = true
	_, _ = side.write(bulk, make([]byte, queued), start)
	packets := 0
	for now := start; now.Before(start.Add(10 * trip)); now = now.Add(time.Millisecond) {
		_, _ = side.write(typed, []byte("k"), now)
		_ = side.answer(frame{kind: kindSeen, value: 1})
		if len(side.compose(newChunk(), now).data()) == 0 {
			continue
		}
		packets++
		if typed.out.size > 0 || bulk.out.size != queued {
			t.Fatalf("%d keys wait, %d bytes of bulk do", typed.out.size, bulk.out.size)
		}
	}
	if packets != 40 {
		t.Errorf("%d packets in ten trips", packets)
	}
	side.rests = false
	if side.compose(newChunk(), start.Add(10*trip)); bulk.out.size == queued {
		t.Error("bulk does not go on after it")
	}
}

func TestBulkStreamsHaveEqualShares(t *testing.T) {
	t.Parallel()
	side := newTable(Config{}, true, new(sync.Mutex))
	side.closing = true // nothing holds them up
	var all []*stream
	for range 5 {
		s := side.open(start)
		s.credit, s.quickLeft = maxCredit, 0
		all = append(all, s)
	}
	sent := map[uint32]int{}
	for range 2000 {
		for i, s := range all {
			_, _ = side.write(s, make([]byte, 1000*(i+1)*(i+1)), start)
		}
		for b := side.compose(newChunk(), start).data(); len(b) > 0; {
			h, err := parseHead(b)
			if err != nil {
				t.Fatal(err)
			}
			b = b[headSize+h.length:]
			if h.kind == kindData {
				sent[h.stream] += h.length
			}
		}
	}
	for _, s := range all[1:] {
		if ratio := float64(sent[s.id]) / float64(sent[all[4].id]); ratio < 0.9 || ratio > 1.1 {
			t.Errorf("shares: %v", sent)
			break
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(message1(frame{kind: kindOpen, stream: 1}, frame{kindCredit, 1, 100}, frame{kind: kindMark, value: 3}, frame{kind: kindEnd, stream: 1}))
	f.Add(append(message1(frame{kind: kindOpen, stream: 3}), dataFrame(3, 20)...))
	f.Add(message1(frame{kind: kindOpen, stream: 1}, frame{kind: kindReset, stream: 1}, frame{kind: kindOpen, stream: 5}, frame{kind: kindBye}))
	f.Add(message1(frame{kind: kindSeen, value: 1}, frame{kind: kindEnd, stream: 2}))
	f.Fuzz(func(t *testing.T, text []byte) {
		side := newTable(Config{Streams: 3, Window: 1 << 20, Budget: 1 << 20}, false, new(sync.Mutex))
		own := side.open(start) // the other side may say things about stream 2
		side.ping = true
		side.compose(newChunk(), start)
		err := take(side, text, start)
		for s := side.accept(); s != nil; s = side.accept() {
			_, _ = side.read(s, make([]byte, 10), start)
			_, _ = side.write(s, make([]byte, 10), start)
		}
		for range 10_000 {
			if len(side.compose(newChunk(), start).data()) == 0 {
				break
			}
		}
		kept := 0
		for _, s := range side.streams {
			kept += s.in.size
		}
		if kept > 4*initialWindow+side.config.Budget || side.theirs > 3 || side.theirs < 0 || len(side.streams) > 4 || side.stray < 0 && err == nil {
			t.Errorf("%d bytes of %d streams are kept, %v", kept, len(side.streams), own.broken)
		}
	})
}
