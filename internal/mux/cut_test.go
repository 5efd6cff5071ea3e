package mux_test

import (
	"errors"
	"io"
	"testing"

	"bulkhead/internal/mux"
)

// A gateway that lies could end a stream between two records.
func TestAStreamThatIsCutBelowItsEncryptionDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	user, device := shaken(t)
	below, above := below(t)
	s, err := user.Seal(below)
	if err == nil {
		_, err = s.Write([]byte("half of it"))
	}
	if err == nil {
		err = below.CloseWrite()
	}
	if err != nil {
		t.Fatal(err)
	}
	o, err := device.Seal(above)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(o)
	if string(got) != "half of it" || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%q looks whole: %v", got, err)
	}
}

// below gives both ends of a stream that the gateway could read.
func below(t *testing.T) (mux.Stream, mux.Stream) {
	t.Helper()
	return streams(t, false)
}
