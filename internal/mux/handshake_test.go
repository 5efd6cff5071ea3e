package mux_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

const terms = "tcp 127.0.0.1 80 recorded false"

// shaken gives both ends of an encryption that have shaken hands.
func shaken(t testing.TB) (*mux.UserEnd, *mux.DeviceEnd) {
	t.Helper()
	user, own := userEnd(t), identity(t)
	device, answer, err := mux.Answer(own, user.Key(), user.Hello(), terms)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	if err := user.Meet(answer, own.Fingerprint(), terms); err != nil {
		t.Fatal(err)
	}
	return user, device
}

func userEnd(t testing.TB) *mux.UserEnd {
	t.Helper()
	user, err := mux.NewUserEnd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(user.Close)
	return user
}

func TestAnEndWithAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	own, stranger := identity(t), identity(t)
	user := userEnd(t)
	device, answer, err := mux.Answer(own, stranger.Fingerprint(), user.Hello(), terms)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if err := user.Meet(answer, own.Fingerprint(), terms); err != nil {
		t.Fatal(err) // it is the device's to refuse the user
	}
	for range 2 {
		s, o := below(t)
		if _, err := user.Seal(s); err != nil {
			t.Fatal(err)
		}
		if _, err := device.Seal(o); errs.KindOf(err) != wire.Unauthenticated {
			t.Errorf("another user: %v", err)
		}
	}
	other := userEnd(t)
	device, answer, err = mux.Answer(own, other.Key(), other.Hello(), terms)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if err := other.Meet(answer, stranger.Fingerprint(), terms); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("another device: %v", err)
	}
}

// Somebody in between who has a key of their own for each side is none of both.
func TestSomebodyInBetweenCannotShakeHandsWithBoth(t *testing.T) {
	t.Parallel()
	user, own, between := userEnd(t), identity(t), userEnd(t)
	device, answer, err := mux.Answer(own, user.Key(), between.Hello(), terms)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if err := user.Meet(answer, own.Fingerprint(), terms); err == nil {
		t.Error("the user takes an answer to another's hello")
	}
	if err := between.Meet(answer, own.Fingerprint(), terms); err != nil {
		t.Fatal(err)
	}
	s, o := below(t)
	if _, err := between.Seal(s); err != nil {
		t.Fatal(err)
	}
	if _, err := device.Seal(o); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("the device takes the proof of another: %v", err)
	}
}

func TestALetterThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	own := identity(t)
	for name, letter := range map[string]string{
		"none": "", "no base64": "***", "noise": base64.StdEncoding.EncodeToString([]byte("noise")), "endless": strings.Repeat("AAAA", wire.MaxTunnelLetter),
		"half of one": userEnd(t).Hello()[:400], "TLS of the web": base64.StdEncoding.EncodeToString([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")),
	} {
		device, answer, err := mux.Answer(own, own.Fingerprint(), letter, terms)
		if err == nil {
			// What is not whole yet is answered with nothing, and never becomes whole.
			if device.Close(); answer != "" {
				t.Errorf("a hello that is %s is answered", name)
			}
		}
		if err := userEnd(t).Meet(letter, own.Fingerprint(), terms); err == nil {
			t.Errorf("an answer that is %s is taken", name)
		}
	}
}

func TestAStreamOpensWithoutWaitingAndBothDirectionsAreSealed(t *testing.T) {
	t.Parallel()
	user, device := shaken(t)
	for range 3 { // the first with the proof, later ones without
		s, o := below(t)
		up, err := user.Seal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := up.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		down, err := device.Seal(o)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8)
		if _, err := io.ReadFull(down, got); err != nil || string(got) != "question" {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := down.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(up, got[:6]); err != nil || string(got[:6]) != "answer" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// copied gives what the user's end sends of a stream with a question, as the gateway has it.
func copied(t *testing.T, user *mux.UserEnd) []byte {
	t.Helper()
	s, o := below(t)
	up, err := user.Seal(s)
	if err == nil {
		_, err = up.Write([]byte("question"))
	}
	if err == nil {
		err = up.CloseWrite()
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(o)
	if err != nil || bytes.Contains(b, []byte("question")) {
		t.Fatalf("%q, %v", b, err)
	}
	return b
}

// played sends bytes to the device's end as a stream.
func played(t *testing.T, device *mux.DeviceEnd, b []byte) (string, error) {
	t.Helper()
	s, o := below(t)
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	sealed, err := device.Seal(o)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(sealed)
	return string(got), err
}

// lost is a stream of which nothing arrives.
type lost struct{ mux.Stream }

func (lost) Write(b []byte) (int, error) { return len(b), nil }

func TestAStreamThatIsCopiedOrChangedReachesNothing(t *testing.T) {
	t.Parallel()
	user, device := shaken(t)
	first, second := copied(t, user), copied(t, user)
	if got, err := played(t, device, first); got != "question" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := played(t, device, first); errs.KindOf(err) != wire.Denied {
		t.Errorf("copied: %v", err)
	}
	renumbered := bytes.Clone(first)
	renumbered[8]++
	if _, err := played(t, device, renumbered); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("copied with another number: %v", err)
	}
	for name, change := range map[string]func(b []byte){
		"its data":   func(b []byte) { b[len(b)-30] ^= 1 },
		"its end":    func(b []byte) { b[len(b)-18] ^= 0x80 },
		"its length": func(b []byte) { b[len(b)-17]++ },
	} {
		b := copied(t, user)
		change(b)
		if got, err := played(t, device, b); err == nil {
			t.Errorf("%s was changed: %q", name, got)
		}
	}
	if got, err := played(t, device, second); got != "question" || err != nil {
		t.Errorf("what came late: %q, %v", got, err)
	}
	for range 1100 {
		if _, err := user.Seal(lost{}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := played(t, device, copied(t, user)); got != "question" || err != nil {
		t.Errorf("after many that never came: %q, %v", got, err)
	}
	if _, err := played(t, device, second); errs.KindOf(err) != wire.Denied {
		t.Errorf("copied much later: %v", err)
	}
}

func TestWhatWaitedForABrokenOffReadIsStillThere(t *testing.T) {
	t.Parallel()
	user, device := shaken(t)
	s, o := below(t)
	raw := copied(t, user)
	sealed := make(chan mux.Stream, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		down, err := device.Seal(o)
		if err != nil {
			t.Error(err)
		}
		sealed <- down
	})
	cut := len(raw) - 20 // within the data
	if _, err := s.Write(raw[:cut]); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	down := <-sealed
	if down == nil {
		t.FailNow()
	}
	_ = down.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := down.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that is over: %v", err)
	}
	_ = down.SetReadDeadline(time.Time{})
	if _, err := s.Write(raw[cut:]); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1) // less than there is at once
	var got []byte
	for {
		n, err := down.Read(one)
		if got = append(got, one[:n]...); err != nil {
			if !errors.Is(err, io.EOF) || string(got) != "question" {
				t.Errorf("%q, %v", got, err)
			}
			return
		}
	}
}

func TestWhatIsWrittenAfterTheEndIsRefused(t *testing.T) {
	t.Parallel()
	a, b := streams(t, true)
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after the end: %v", err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Errorf("a second end: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(b); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
