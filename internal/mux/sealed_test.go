package mux

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
)

// taped is a stream that gives what is on a tape, and keeps what is written.
type taped struct {
	Stream
	tape, kept *bytes.Buffer
	chop       int // the most that comes at once; 0: any
}

func (s taped) Read(b []byte) (int, error) {
	if s.chop > 0 {
		b = b[:min(len(b), s.chop)]
	}
	return s.tape.Read(b)
}

func (s taped) Write(b []byte) (int, error) { return s.kept.Write(b) }
func (s taped) CloseWrite() error           { return nil }
func (s taped) Reset() error                { return nil }

func fixedKeys(suite uint16) sealKeys {
	return sealKeys{secret: bytes.Repeat([]byte{7}, 32), suite: suite}
}

// written is a stream of the user's end with some data in it, as it goes through the gateway.
func written(t testing.TB, suite uint16, data ...string) []byte {
	t.Helper()
	kept := new(bytes.Buffer)
	s := newSealed(taped{kept: kept}, fixedKeys(suite), 9, true)
	err := s.greet(preamble{number: 9, proof: []byte("proof")})
	for _, d := range data {
		if _, errWrite := s.Write([]byte(d)); err == nil {
			err = errWrite
		}
	}
	if errEnd := s.CloseWrite(); err == nil {
		err = errEnd
	}
	if err != nil {
		t.Fatal(err)
	}
	return kept.Bytes()
}

// heard is what the device's end reads of it, by so many bytes at once.
func heard(suite uint16, b []byte, chop, at int) (string, error) {
	s := newSealed(taped{tape: bytes.NewBuffer(b), chop: chop}, fixedKeys(suite), 9, false)
	p, tag, err := readPreamble(s.Stream)
	if err == nil {
		err = s.greeted(p, tag)
	}
	var text strings.Builder
	for buffer := make([]byte, at); err == nil; {
		var n int
		n, err = s.Read(buffer)
		text.Write(buffer[:n])
	}
	return text.String(), err
}

func TestWhatIsSealedIsReadWhateverTheCipherAndTheSteps(t *testing.T) {
	t.Parallel()
	data := strings.Repeat("0123456789abcdef", 5000)
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
		b := written(t, suite, "a", data, "b")
		for _, steps := range [][2]int{{0, 64 << 10}, {1000, 64 << 10}, {0, 1000}, {7, 20}} {
			if got, err := heard(suite, b, steps[0], steps[1]); got != "a"+data+"b" || !errors.Is(err, io.EOF) {
				t.Errorf("cipher %x, %v: %d bytes, %v", suite, steps, len(got), err)
			}
		}
	}
}

func TestEachDirectionStreamAndWhileHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	keys := fixedKeys(tls.TLS_AES_128_GCM_SHA256)
	seen := map[string]bool{}
	for _, from := range []direction{fromUser, fromDevice} {
		for _, number := range []uint64{1, 11, 111} {
			w := way{keys: keys, from: from, stream: number}
			for _, count := range []uint64{0, 1, rekeyEvery - 1, rekeyEvery, 11 * rekeyEvery} {
				if count > 1 { // as if that many had gone before
					w.count = count - 1
					_, _, _ = w.next()
				}
				b, err := w.seal(nil, make([]byte, 8), nil)
				if err != nil || seen[string(b)] {
					t.Errorf("%s, stream %d, record %d: %v, or seen before", from, number, count, err)
				}
				seen[string(b)] = true
			}
		}
	}
}

func FuzzSealed(f *testing.F) {
	const suite = tls.TLS_AES_128_GCM_SHA256
	long := strings.Repeat("long", 10_000)
	whole := written(f, suite, "one", long)
	f.Add(whole, uint8(0))
	f.Add(whole[:len(whole)-5], uint8(3))
	f.Add(written(f, suite), uint8(1))
	f.Add([]byte{sealVersion, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, uint8(0))
	f.Add(append(written(f, suite, "x"), 0x80, 0, 0), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, chop uint8) {
		got, _ := heard(suite, b, int(chop), 300)
		if !strings.HasPrefix("one"+long, got) && got != "x" {
			t.Errorf("%q was never sealed", got)
		}
	})
}
