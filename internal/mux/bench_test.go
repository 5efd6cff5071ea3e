package mux_test

import (
	"io"
	"sync"
	"testing"

	"bulkhead/internal/mux"
)

// One stream over real TLS, both ends in one process.
func BenchmarkBulk(b *testing.B) {
	a, o := pair(b, mux.Config{Window: 16 << 20, Budget: 32 << 20}, mux.Config{Streams: 1, Window: 16 << 20, Budget: 32 << 20})
	s, err := a.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	piece := make([]byte, 16<<10-64)
	b.SetBytes(int64(len(piece)))
	var wg sync.WaitGroup
	wg.Go(func() {
		for range b.N {
			if _, err := s.Write(piece); err != nil {
				b.Error(err)
			}
		}
		_ = s.CloseWrite()
	})
	other, err := o.Accept()
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{other}, make([]byte, 16<<10)); n != int64(len(piece)*b.N) || err != nil {
		b.Error(n, err)
	}
	wg.Wait()
}
