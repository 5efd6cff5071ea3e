package mux

import (
	"io"
	"testing"
	"time"
)

func TestBulkGoesOnAfterItHasWaitedThoughNothingElseHappens(t *testing.T) {
	t.Parallel()
	dialled, other := plain(t)
	from, to := newSession(dialled, Config{Ping: time.Hour}, true), newSession(other, Config{Streams: 1, Upgraded: true, Ping: time.Hour}, false)
	defer from.Close()
	defer to.Close()
	now := time.Now()
	from.mu.Lock()
	from.sender.bbr = false // nobody but this test says how it stands: it is about to look
	from.kernel = look{at: now, shortest: time.Second, from: now.Add(-lookEvery), until: now.Add(-lookEvery)}
	from.mu.Unlock()
	s, err := from.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = s.Write(patterned(quick + queued))
		_ = s.CloseWrite()
	}()
	there, err := to.Accept()
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(there)
	if err != nil || len(all) != quick+queued {
		t.Errorf("%d bytes came, %v", len(all), err)
	}
	if time.Since(now) < lateLook {
		t.Error("bulk has not waited")
	}
}
