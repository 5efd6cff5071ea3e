package recorder_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bulkhead/agent/tunnel/recorder"
	"bulkhead/internal/cast"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend keeps chunks as the real one does, or fails as it is told.
type backend struct {
	t       *testing.T
	project wire.RecordingKeyPair

	mu     sync.Mutex // guards what follows
	chain  wire.RecordingChain
	opener *wire.RecordingOpener
	text   string
	chunks int
	fail   error
}

func (b *backend) keep(_ context.Context, c wire.RecordingChunk) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	p, err := c.Parse()
	if err == nil {
		err = b.chain.Accept(p)
	}
	if err == nil && b.opener == nil {
		key, _ := b.project.Unseal(p.Head)
		b.opener, err = wire.NewRecordingOpener(key)
	}
	if err != nil {
		b.t.Error(err)
		return err
	}
	plain, err := b.opener.Open(p)
	b.text += string(plain)
	b.chunks++
	return err
}

func (b *backend) failing(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

// kept gives what is kept: the text that was shown, how many chunks, and whether it has its end.
func (b *backend) kept() (shown string, chunks int, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := strings.Split(b.text, "\n")
	for _, line := range lines[1:] {
		if e, err := cast.ParseEvent([]byte(line)); err == nil && e.Code == cast.Output {
			shown += e.Data
		}
	}
	return shown, b.chunks, b.chain.Ended
}

var deviceKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

func begin(t *testing.T, fail error) (*recorder.Recorder, *backend, error) {
	t.Helper()
	project, err := wire.NewRecordingKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{t: t, project: project, fail: fail}
	sealer, err := wire.NewRecordingSealer(wire.RecordingHead{Tunnel: "T", Session: 1, Project: 11, Device: 33, Serial: wire.NewSerial()}, deviceKey, project.Public())
	if err != nil {
		t.Fatal(err)
	}
	r, err := recorder.Begin(t.Context(), recorder.Config{Keep: b.keep, Sealer: sealer}, cast.Header{Width: 80, Height: 24})
	return r, b, err
}

func TestARecordingHasAllThatWasShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, b, err := begin(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, chunks, _ := b.kept(); chunks != 1 {
			t.Errorf("%d chunks before anything is shown", chunks)
		}
		out, other := r.Stream(cast.Output), r.Stream(cast.Output)
		_, _ = io.WriteString(out, "gr\xc3")
		_, _ = io.WriteString(other, "|")
		_, _ = io.WriteString(out, "\xbcn")
		r.Resize(100, 30)
		time.Sleep(1500 * time.Millisecond) // of the bubble's clock: a chunk is due after a second
		if shown, chunks, _ := b.kept(); shown != "gr|ün" || chunks != 2 {
			t.Errorf("%q in %d chunks", shown, chunks)
		}
		big := strings.Repeat("0123456789", 30_000)
		_, _ = io.WriteString(out, big)
		_, _ = io.WriteString(out, "end\xe2\x82")
		if err := r.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Finish(t.Context()); err != nil {
			t.Errorf("twice: %v", err)
		}
		shown, chunks, ended := b.kept()
		if shown != "gr|ün"+big+"end\ufffd" && shown != "gr|ün"+big+"end\ufffd\ufffd" || !ended || chunks < 6 {
			t.Errorf("%d bytes in %d chunks, %v", len(shown), chunks, ended)
		}
		if _, err := io.WriteString(out, "later"); err == nil {
			t.Error("something is taken after the end")
		}
	})
}

func TestWhatIsNotKeptWithinTheWindowFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, b, err := begin(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.failing(errs.E(wire.Unavailable, "away"))
		out := r.Stream(cast.Output)
		_, _ = io.WriteString(out, "lost")
		began := time.Now()
		<-r.Failed()
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("it took %s", took)
		}
		if err := r.Err(); errs.KindOf(err) != wire.Unavailable || !strings.Contains(errs.UserText(err), "not kept within 10s") {
			t.Error(err)
		}
		if _, err := io.WriteString(out, "more"); err == nil {
			t.Error("more is shown")
		}
		if err := r.Finish(t.Context()); err == nil {
			t.Error("it ends as if it were whole")
		}
	})
}

func TestABackendThatIsAwayForAMomentCostsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, b, err := begin(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.failing(errors.New("lost"))
		_, _ = io.WriteString(r.Stream(cast.Output), "kept")
		time.Sleep(8 * time.Second) // of the bubble's clock: less than the window
		b.failing(nil)
		if err := r.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if shown, _, ended := b.kept(); shown != "kept" || !ended {
			t.Errorf("%q, %v", shown, ended)
		}
	})
}

func TestWhatTheBackendRefusesIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, _, err := begin(t, errs.E(wire.Exhausted, "full")); errs.KindOf(err) != wire.Exhausted || time.Since(began) > 0 {
			t.Errorf("at the beginning: %v after %s", err, time.Since(began))
		}
		r, b, err := begin(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.failing(errs.E(wire.Exhausted, "full"))
		_, _ = io.WriteString(r.Stream(cast.Output), "x")
		<-r.Failed()
		if took := time.Since(began); took > 2*time.Second || !strings.Contains(errs.UserText(r.Err()), "full") {
			t.Errorf("%v after %s", r.Err(), took)
		}
		_ = r.Finish(t.Context())
	})
}

func TestWhoShowsFasterThanChunksAreKeptWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, b, err := begin(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.failing(errs.E(wire.Unavailable, "away"))
		written := make(chan error, 1)
		go func() {
			_, err := io.WriteString(r.Stream(cast.Output), strings.Repeat("x", 1<<20))
			written <- err
		}()
		synctest.Wait()
		select {
		case err := <-written:
			t.Errorf("a mebibyte is taken while nothing is kept: %v", err)
		default:
		}
		<-r.Failed()
		if err := <-written; err == nil {
			t.Error("all is shown, and not all is kept")
		}
		_ = r.Finish(t.Context())
	})
}
