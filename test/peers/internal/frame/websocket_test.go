package frame

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFramesOfAllLengthsSurviveAnyReads(t *testing.T) {
	t.Parallel()
	var stream []byte
	lengths := []int{0, 1, 125, 126, 127, 65535, 65536, 70000}
	for _, n := range lengths {
		stream = AppendServer(stream, OpText, bytes.Repeat([]byte{'a'}, n))
	}
	for name, r := range map[string]io.Reader{
		"whole":  bytes.NewReader(stream),
		"halves": iotest.HalfReader(bytes.NewReader(stream)),
		"bytes":  iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		s := NewScanner(r, 256)
		for _, n := range lengths {
			op, payload, err := s.Next()
			if err != nil || op != OpText || len(payload) != n {
				t.Fatalf("%s: frame of %d bytes: op %d, %d bytes, %v", name, n, op, len(payload), err)
			}
		}
		if _, _, err := s.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last frame: %v", name, err)
		}
	}
}

func TestAClientsFrameIsMasked(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 3, 8, 21, 200} {
		payload := []byte(strings.Repeat("payload ", n/8+1)[:n])
		b := AppendClient(nil, OpBinary, payload)
		b[1] &^= 0x80 // read it as a server's, and unmask
		header, length, err := parseHeader(b)
		if err != nil || length != n {
			t.Fatalf("%d bytes: read %d, %v", n, length, err)
		}
		key, body := b[header:header+4], b[header+4:]
		for i := range body {
			body[i] ^= key[i&3]
		}
		if !bytes.Equal(body, payload) {
			t.Errorf("%d bytes: unmasked to %q", n, body)
		}
	}
}

func TestFramesThatAreNotUnderstoodAreRefused(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"fragment":   {0x01, 0x00},
		"compressed": {0xc1, 0x00},
		"masked":     {0x81, 0x80, 0, 0, 0, 0},
		"too large":  {0x82, 127, 0, 0, 0, 0, 0xff, 0, 0, 0},
		"negative":   {0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if _, _, err := NewScanner(bytes.NewReader(b), 16).Next(); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(AppendServer(AppendServer(nil, OpText, []byte("[36,1,2,{}]")), OpClose, []byte{3, 232}))
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Add([]byte{0x81, 126, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := NewScanner(bytes.NewReader(stream), 16)
		total := 0
		for {
			_, payload, err := s.Next()
			if err != nil {
				break
			}
			total += len(payload) + 2
		}
		if total > len(stream) {
			t.Errorf("%d bytes of frames in %d", total, len(stream))
		}
	})
}
