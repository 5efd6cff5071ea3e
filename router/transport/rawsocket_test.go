package transport

import (
	"bytes"
	"testing"
)

// Whatever comes, a reader gives messages within its limit, whose bytes came, and answers pings with what they carried.
func FuzzRawSocketFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '[', ']', 1, 0, 0, 1, 'p'}, uint8(3))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 'x'}, uint8(3))
	f.Add([]byte{2, 0, 0, 1, 'x', 0, 0, 0, 0}, uint8(1))
	f.Add([]byte{0x80, 0, 0, 1, 'x'}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8) {
		const limit = 64
		s := &rawSource{in: &inbound{conn: &canned{data: bytes.Clone(data), chunk: int(chunk)}, alive: func() {}}}
		s.pong = func(p []byte) {
			if !bytes.Contains(data, p) {
				t.Fatalf("a pong of %q", p)
			}
		}
		for {
			buf, err := s.read(limit)
			if err != nil {
				return
			}
			if len(*buf) > limit || !bytes.Contains(data, *buf) {
				t.Fatalf("a message of %q", *buf)
			}
			buffers.put(buf)
		}
	})
}
