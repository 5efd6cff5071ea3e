package router_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/router/transport"
)

const upgradeLines = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: wamp.2.json\r\n"

// speak sends bytes over a connection of its own and gives the response, or nil where the connection ends without one.
func (s *stage) speak(t *testing.T, text string) (*tls.Conn, *http.Response) {
	t.Helper()
	c, err := tls.Dial("tcp", s.addr, s.tls())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodGet})
	if err != nil {
		return c, nil
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return c, response
}

func TestRequestsAreRefusedThatMayBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for name, want := range map[string]struct {
		text   string
		status int // 0: the connection ends
	}{
		"a usual one":                {upgradeLines + "\r\n", http.StatusSwitchingProtocols},
		"a body in chunks":           {upgradeLines + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /ws HTTP/1.1\r\n\r\n", 0},
		"two lengths":                {upgradeLines + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", http.StatusBadRequest},
		"two hosts":                  {upgradeLines + "Host: b\r\n\r\n", http.StatusBadRequest},
		"a space before the colon":   {upgradeLines + "Origin : https://evil.example.com\r\n\r\n", http.StatusBadRequest},
		"a zero byte":                {upgradeLines + "X: \x00\r\n\r\n", http.StatusBadRequest},
		"a foreign origin":           {upgradeLines + "Origin: https://evil.example.com\r\n\r\n", http.StatusForbidden},
		"headers of 20 KiB":          {upgradeLines + "X: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"a thousand headers":         {upgradeLines + strings.Repeat("X: xxxxxxxxxxxxxxxxxxx\r\n", 1000) + "\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"more headers than one read": {upgradeLines + "X: " + strings.Repeat("x", 6<<10) + "\r\n\r\n", http.StatusSwitchingProtocols},
		"HTTP/2 without asking":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusBadRequest},
		"another path":               {strings.Replace(upgradeLines, "/ws", "/wsx", 1) + "\r\n", http.StatusNotFound},
		"nothing that is known":      {"\x00\x01\x02\x03\r\n\r\n", http.StatusBadRequest},
	} {
		_, response := s.speak(t, want.text)
		status := 0
		if response != nil {
			status = response.StatusCode
		}
		if status != want.status {
			t.Errorf("%s: %d, want %d", name, status, want.status)
		}
	}
}

func TestBytesSentBeforeTheUpgradeIsAnsweredAreNoMessages(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	// A frame that no client of ours could have masked: it is behind the request already.
	c, response := s.speak(t, upgradeLines+"\r\n\x81\x82\x00\x00\x00\x00[]")
	if response != nil && response.StatusCode == http.StatusSwitchingProtocols {
		t.Error("it became a session")
	}
	if n, err := io.Copy(io.Discard, c); err != nil && n > 0 {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestAConnectionWithOtherRequestsIsServedAsEver(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	c, first := s.speak(t, strings.Repeat("GET /wsx HTTP/1.1\r\nHost: localhost\r\n\r\n", 2)+upgradeLines+"\r\n")
	if first == nil || first.StatusCode != http.StatusNotFound {
		t.Fatalf("got %+v", first)
	}
	_ = c.Close()
	slow, err := tls.Dial("tcp", s.addr, s.tls())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	for _, piece := range []string{"G", "ET /w", "s HTTP/1.1\r\nHost: x\r\n", upgradeLines[len("GET /ws HTTP/1.1\r\nHost: localhost\r\n"):], "\r", "\n"} {
		if _, err := io.WriteString(slow, piece); err != nil {
			t.Fatal(err)
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("in pieces: %v %v", response, err)
	}
}

func TestARequestThatComesByteByByteIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	s := newStage(t, router.Config{Limits: transport.Limits{TLSHandshake: limit}})
	for _, text := range []string{upgradeLines, "GET /api/v1/projects HTTP/1.1\r\nHost: localhost\r\n"} {
		c, err := tls.Dial("tcp", s.addr, s.tls())
		if err != nil {
			continue // its time was up before: the machine is busy
		}
		go func() { // ends with the connection
			ticker := time.NewTicker(limit / 10)
			defer ticker.Stop()
			for _, b := range []byte(text + strings.Repeat("x", 4<<10)) { // for minutes
				<-ticker.C
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err = io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) { // any end is fine but ours
			t.Errorf("%.20s…: it was kept for all of it", text)
		}
		_ = c.Close()
	}
}

func TestClosingDoesNotWaitForConnectionsThatHaveAskedForNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{Handshake: time.Hour, TLSHandshake: time.Hour}})
	for i := range 40 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 { // half of a TLS handshake
			_, _ = c.Write([]byte{0x16, 3, 1})
			continue
		}
		secure := tls.Client(c, s.tls())
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(secure, upgradeLines) // and no end
	}
	p := s.device(t, message.JSON, a1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	p.ended()
	if c, err := tls.Dial("tcp", s.addr, s.tls()); err == nil {
		_ = c.Close()
		t.Error("a connection was taken afterwards")
	}
}

// A server that is embedded elsewhere has the other way in, through net/http alone.
func TestTheHandlerAloneLetsSessionsInToo(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: patience}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.Serve(listener) // ends with ErrServerClosed
	}()
	defer func() {
		_ = web.Close()
		<-served
	}()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "%s\r\n", upgradeLines)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", response, err)
	}
}
