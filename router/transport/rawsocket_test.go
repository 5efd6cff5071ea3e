package transport

import (
	"bytes"
	"testing"
)

func TestARawSocketMessageMayHaveAllTheBytesOfTheLargestLength(t *testing.T) {
	t.Parallel()
	for n, head := range map[int][]byte{
		0:         {0, 0, 0, 0},
		1<<24 - 1: {0, 0xff, 0xff, 0xff},
		1 << 24:   {0x08, 0, 0, 0},
	} {
		if got := rawHeader(nil, rawMessage, n); !bytes.Equal(got, head) {
			t.Errorf("the header of %d bytes is %x, want %x", n, got, head)
		}
		s := &rawSource{in: reading(&canned{data: append(head, make([]byte, n)...), chunk: 1 << 20})}
		buf, err := s.read(1 << 24)
		if err != nil || len(*buf) != n {
			t.Errorf("of %d bytes came %d: %v", n, len(*buf), err)
		}
	}
	s := &rawSource{in: &inbound{conn: &canned{data: []byte{0x08, 0, 0, 1, 'x'}, chunk: 5}, alive: func() {}}}
	if _, err := s.read(1 << 24); err == nil {
		t.Error("a length of more than 2^24 was taken")
	}
}

// Whatever comes, a reader gives messages within its limit, whose bytes came, and answers pings with what they carried.
func FuzzRawSocketFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '[', ']', 1, 0, 0, 1, 'p'}, uint8(3))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 'x'}, uint8(3))
	f.Add([]byte{2, 0, 0, 1, 'x', 0, 0, 0, 0}, uint8(1))
	f.Add([]byte{0x80, 0, 0, 1, 'x'}, uint8(1))
	f.Add([]byte{0x08, 0, 0, 0, 'x'}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8) {
		const limit = 64
		s := &rawSource{in: reading(&canned{data: bytes.Clone(data), chunk: int(chunk)})}
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
