package load

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/measure"
)

// pipe is a session and the router's end of its connection.
func pipe(t *testing.T) (*Session, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return &Session{conn: near, scan: frame.NewScanner(near, 1024)}, far
}

// readClient reads one frame of a client and gives its head.
func readClient(r io.Reader) (frame.Head, error) {
	var header [8]byte
	if _, err := io.ReadFull(r, header[:2]); err != nil {
		return frame.Head{}, err
	}
	n, key := int(header[1]&0x7f), header[2:6]
	if n == 126 {
		if _, err := io.ReadFull(r, header[2:4]); err != nil {
			return frame.Head{}, err
		}
		n, key = int(binary.BigEndian.Uint16(header[2:])), header[4:8]
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, key); err != nil {
		return frame.Head{}, err
	}
	if _, err := io.ReadFull(r, body); err != nil {
		return frame.Head{}, err
	}
	for i := range body {
		body[i] ^= key[i&3]
	}
	return frame.JSON.ParseHead(body)
}

// serve answers each request as answer says, until the connection ends.
func serve(far net.Conn, answer func(id uint64) []byte) {
	requests := make(chan uint64, 1000)
	var writing sync.WaitGroup
	writing.Go(func() {
		for id := range requests {
			if b := answer(id); b != nil {
				_, _ = far.Write(frame.AppendServer(nil, frame.OpText, b))
			}
		}
	})
	for {
		h, err := readClient(far)
		if err != nil {
			break
		}
		requests <- h.IDs[0]
	}
	close(requests)
	writing.Wait()
}

func TestAcknowledgementsThatAreLostDoNotStopAPublisher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		session, far := pipe(t)
		go serve(far, func(id uint64) []byte {
			switch id % 4 {
			case 0:
				return nil
			case 1:
				return []byte(`[8,16,` + itoa(id) + `,{},"wamp.error.not_authorized"]`)
			default:
				time.Sleep(time.Millisecond)
				return frame.AppendHead(nil, frame.JSON, codePublished, id, 7)
			}
		})
		template, err := frame.NewTemplate(frame.JSON, codePublish, map[string]any{}, "a.topic", frame.Payload)
		if err != nil {
			t.Fatal(err)
		}
		p := &publisher{session: session, window: 8, template: template}
		if err := p.run(t.Context(), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		lost := p.sent - p.acknowledged - p.refused
		if p.sent < 100 || lost < p.sent/4-1 || lost > p.sent/4+1 || p.refused < p.sent/4-1 || p.refused > p.sent/4+1 {
			t.Errorf("%d sent, %d acknowledged, %d refused", p.sent, p.acknowledged, p.refused)
		}
		session.Close()
		synctest.Wait()
	})
}

func TestAnswersThatAreLostDoNotStopACaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		session, far := pipe(t)
		go serve(far, func(id uint64) []byte {
			switch {
			case id%50 == 0:
				return nil
			case id%50 == 1:
				return []byte(`[8,48,` + itoa(id) + `,{},"wamp.error.unavailable"]`)
			default:
				time.Sleep(time.Millisecond)
				return []byte(`[50,` + itoa(id) + `,{},[]]`)
			}
		})
		template, err := frame.NewTemplate(frame.JSON, codeCall, map[string]any{}, "a.procedure", frame.Payload)
		if err != nil {
			t.Fatal(err)
		}
		c := &caller{session: session, window: 4, calls: []*frame.Template{template}}
		if err := c.run(t.Context(), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		lost := c.sent - c.answered - c.refused
		if c.answered < 100 || lost == 0 || c.refused == 0 || lost > c.sent/10 {
			t.Errorf("%d sent, %d answered, %d refused", c.sent, c.answered, c.refused)
		}
		session.Close()
		synctest.Wait()
	})
}

func TestEventsThatAreLostOrComeTwiceAreCounted(t *testing.T) {
	t.Parallel()
	var stream []byte
	event, err := frame.NewTemplate(frame.JSON, codeEvent, 1, map[string]any{}, frame.Payload)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint32{1, 2, 4, 4, 3, 6} { // 5 is lost, 4 comes twice, 3 is late
		b := event.Append(nil, 1, frame.Stamp{Seq: seq})
		stream = append(stream, unmask(b)...)
	}
	s := &subscriber{session: &Session{conn: nil, scan: frame.NewScanner(bytes.NewReader(stream), 4096)}, last: make([]uint32, 1)}
	s.read()
	p := &PubSub{subscribers: []*subscriber{s}, publishers: []*publisher{{sent: 7, acknowledged: 7}}}
	r := measure.Round{Latency: &measure.Histogram{}}
	end := time.Time{}
	if err := s.addTo(&r, &end); err == nil {
		t.Error("the end of the connection is no error")
	}
	if r.Ops != 6 || r.Disordered != 2 || p.expected()-r.Ops != 1 {
		t.Errorf("%+v, %d expected", r, p.expected())
	}
}

func TestAnEventThatNobodyPublishedIsAnError(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{
		"no stamp":   `[36,1,2,{},["hello"]]`,
		"no event":   `[17,1,2]`,
		"no message": `{}`,
	} {
		stream := frame.AppendServer(nil, frame.OpText, []byte(message))
		s := &subscriber{session: &Session{scan: frame.NewScanner(bytes.NewReader(stream), 4096)}, last: make([]uint32, 1)}
		if s.read(); s.err == nil || s.err == io.EOF || s.delivered != 0 {
			t.Errorf("%s: %v", name, s.err)
		}
	}
}

// unmask makes a server's frame of a client's.
func unmask(b []byte) []byte {
	b[1] &^= 0x80
	n, at := int(b[1]), 2
	if n == 126 {
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	}
	key, body := b[at:at+4], b[at+4:at+4+n]
	for i := range body {
		body[i] ^= key[i&3]
	}
	return append(b[:at:at], body...)
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
