package mux

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// plain gives both ends of a WebSocket without TLS, above connections that can be corked.
func plain(t *testing.T) (dialled, other *websocket.Conn) {
	t.Helper()
	accepted := make(chan *websocket.Conn, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var up websocket.Upgrader
		if ws, err := up.Upgrade(w, r, nil); err != nil {
			t.Error(err)
		} else {
			accepted <- ws
		}
	}))
	srv.Listener = Listen(srv.Listener)
	srv.Start()
	t.Cleanup(srv.Close)
	dialer := websocket.Dialer{NetDialContext: dialTCP}
	dialled, response, err := dialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	other = <-accepted
	t.Cleanup(func() { _, _ = dialled.Close(), other.Close() })
	return dialled, other
}

// What is written past gorilla is read by gorilla, which refuses a frame that is masked, or not, where it should not be.
func TestAnotherImplementationReadsWhatASenderWrites(t *testing.T) {
	t.Parallel()
	dialled, other := plain(t)
	carries(t, newSender(dialled.NetConn(), true), other)
	carries(t, newSender(other.NetConn(), false), dialled)
}

func carries(t *testing.T, from *sender, to *websocket.Conn) {
	t.Helper()
	sizes := []int{1, 3, 4, 5, 124, 125, 126, 127, 128, 1023, 1024, 1025, 2047, 5000, message - 1, message}
	go func() {
		for i, size := range sizes {
			more := i%3 != 0 && i < len(sizes)-1
			if err := from.send(append(make([]byte, headRoom, headRoom+message), patterned(size)...), more); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, size := range sizes {
		kind, got, err := to.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage || !bytes.Equal(got, patterned(size)) {
			t.Fatalf("masked %t, %d bytes: got %d of kind %d (%v)", from.masks, size, len(got), kind, err)
		}
	}
}

func patterned(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func TestAMessageWithItsHeadFillsOneRecord(t *testing.T) {
	t.Parallel()
	s := &sender{masks: true}
	if n := len(s.frame(make([]byte, headRoom+message))); n > 16<<10 || n < 16<<10-headRoom {
		t.Errorf("%d bytes", n)
	}
}
