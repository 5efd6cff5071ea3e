package mux_test

import (
	"errors"
	"io"
	"sync"
	"testing"

	"bulkhead/internal/mux"
)

// A gateway that lies could end a stream between two records.
func TestAStreamThatIsCutBelowItsEncryptionDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	a, b := pair(t, config, config)
	below, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	user, device := identity(t), identity(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		accepted, err := b.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		o, err := mux.SealServer(t.Context(), accepted, device, user.Fingerprint())
		if err != nil {
			t.Error(err)
			return
		}
		got, err := io.ReadAll(o)
		if string(got) != "half of it" || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q looks whole: %v", got, err)
		}
	})
	s, err := mux.SealClient(t.Context(), below, user, device.Fingerprint())
	if err == nil {
		_, err = s.Write([]byte("half of it"))
	}
	if err == nil {
		err = below.CloseWrite()
	}
	if err != nil {
		t.Error(err)
	}
	wg.Wait()
}
