package tunnel

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// hostile is a web application in the hands of an attacker, who writes what no server would.
func hostile(t *testing.T, answers map[string]func(c net.Conn)) (address string, asked chan *http.Request) {
	t.Helper()
	asked = make(chan *http.Request, 16)
	return serve(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			if answer := answers[r.URL.Path]; answer != nil {
				answer(c)
				return
			}
			asked <- r
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
	}), asked
}

// forever writes a text until nobody takes it any more.
func forever(start, text string) func(net.Conn) {
	return func(c net.Conn) {
		_, err := io.WriteString(c, start)
		for block := strings.Repeat(text, 1+(16<<10)/len(text)); err == nil; {
			_, err = io.WriteString(c, block)
		}
	}
}

func once(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

func TestAWebApplicationThatAttacksItsVisitorsOrTheGatewayIsGivenUp(t *testing.T) {
	t.Parallel()
	address, _ := hostile(t, map[string]func(net.Conn){
		"/headers":  forever("HTTP/1.1 200 OK\r\n", "X-More: x\r\n"),
		"/header":   forever("HTTP/1.1 200 OK\r\nX-Long: ", "x"),
		"/status":   forever("", "x"),
		"/hints":    forever("", "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"),
		"/lengths":  once("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy"),
		"/switch":   once("HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
		"/switchh2": once("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
		"/hint":     once("HTTP/1.1 103 Early Hints\r\nSet-Cookie: __Host-bulkhead-visit=x; Path=/; Secure\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		"/both": once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\nConnection: Content-Type, Origin-Agent-Cluster\r\n" +
			"Content-Type: text/plain\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
	})
	s := openSite(t, nil, press, "http://"+address)
	c := enter(t, s)
	for _, path := range []string{"/headers", "/header", "/status", "/hints", "/lengths", "/switch", "/switchh2"} {
		if status, _, text := get(t, c, s.URL+path); status != http.StatusBadGateway {
			t.Errorf("%s: %d, %.100q", path, status, text)
		}
	}
	raw := dialSite(t, s)
	visit := cookiesOf(t, c, s)
	if got := raw.say("GET /hint HTTP/1.1\r\nHost: " + raw.host + "\r\nCookie: " + visit + "\r\n\r\n"); got.status != http.StatusOK || got.text != "ok" {
		t.Errorf("hints before the answer: %+v", got) // the hint itself would be the answer that is read first
	}
	if got := raw.say("GET /both HTTP/1.1\r\nHost: " + raw.host + "\r\nCookie: " + visit + "\r\n\r\n"); got.status != http.StatusOK || got.text != "ok" || got.header.Get("Origin-Agent-Cluster") != "?1" {
		t.Errorf("two lengths of an answer: %+v", got)
	}
}

// rawSite is a connection to the server on which is written what no browser would.
type rawSite struct {
	t    *testing.T
	host string
	conn *tls.Conn
	in   *bufio.Reader
}

func dialSite(t *testing.T, s *site) *rawSite {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	below, err := toServer(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	config := trust(t)
	config.ServerName = u.Hostname()
	c := tls.Client(below, config)
	t.Cleanup(func() { _ = c.Close() })
	return &rawSite{t, u.Host, c, bufio.NewReader(c)}
}

type rawAnswer struct {
	status int
	header http.Header
	text   string
}

// say writes and reads one answer; the zero answer where there is none.
func (r *rawSite) say(text string) rawAnswer {
	r.t.Helper()
	_ = r.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(r.conn, text); err != nil {
		return rawAnswer{}
	}
	answer, err := http.ReadResponse(r.in, nil)
	if err != nil {
		return rawAnswer{}
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return rawAnswer{answer.StatusCode, answer.Header, string(body)}
}

func cookiesOf(t *testing.T, c *http.Client, s *site) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, one := range c.Jar.Cookies(u) {
		all = append(all, one.Name+"="+one.Value)
	}
	return strings.Join(all, "; ")
}

func TestWhatAVisitorWritesDoesNotConfuseGatewayAndApplication(t *testing.T) {
	t.Parallel()
	address, asked := hostile(t, nil)
	s := openSite(t, nil, press, "http://"+address)
	other := openSite(t, nil, press, "http://"+address)
	visit := "Cookie: " + cookiesOf(t, enter(t, s), s) + "\r\n"
	t.Run("headers that the connection is said to own", func(t *testing.T) {
		raw := dialSite(t, s)
		got := raw.say("GET /a HTTP/1.1\r\nHost: " + raw.host + "\r\n" + visit +
			"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: evil.example\r\nConnection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Host, Cookie\r\n\r\n")
		r := <-asked
		if got.status != http.StatusOK || r.Host != address || r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Header.Get("X-Forwarded-Host") != raw.host ||
			r.Header.Get("X-Forwarded-Proto") != "https" || strings.Contains(fmt.Sprint(r.Header), "bulkhead") {
			t.Errorf("%+v; the application was asked %s %v", got, r.Host, r.Header)
		}
	})
	t.Run("a length and chunks", func(t *testing.T) {
		raw := dialSite(t, s)
		const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
		got := raw.say("POST /b HTTP/1.1\r\nHost: " + raw.host + "\r\n" + visit + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(smuggled)) + smuggled)
		if got.status == http.StatusOK {
			if r := <-asked; r.URL.Path != "/b" || r.ContentLength > 0 {
				t.Errorf("the application was asked %s, %d", r.URL, r.ContentLength)
			}
		}
		select {
		case r := <-asked:
			t.Errorf("the application was asked %s", r.URL)
		default:
		}
	})
	for name, request := range map[string]string{
		"chunks in other words": "POST /c HTTP/1.1\r\nHost: HOST\r\n" + visit + "Transfer-Encoding: xchunked\r\n\r\n",
		"two hosts":             "GET /c HTTP/1.1\r\nHost: HOST\r\nHost: 127.0.0.1\r\n" + visit + "\r\n",
		"a bare name":           "GET /c HTTP/1.1\r\nHost: HOST\r\n" + visit + "Transfer-Encoding : chunked\r\n\r\n",
		"two lengths":           "POST /c HTTP/1.1\r\nHost: HOST\r\n" + visit + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
		"a name in the host":    "GET /c HTTP/1.1\r\nHost: me@HOST\r\n" + visit + "\r\n",
		"the other's address":   "GET https://OTHER/c HTTP/1.1\r\nHost: HOST\r\n" + visit + "\r\n",
		"headers without end":   "GET /c HTTP/1.1\r\nHost: HOST\r\n" + visit + "X-A: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		"a tunnel":              "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: HOST\r\n" + visit + "\r\n",
		"a socket of another": "GET /c HTTP/1.1\r\nHost: HOST\r\n" + visit + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: " + other.URL + "\r\n\r\n",
		"a worker of the host": "GET /c.js HTTP/1.1\r\nHost: HOST\r\n" + visit + "Service-Worker: script\r\n\r\n",
	} {
		raw := dialSite(t, s)
		if got := raw.say(strings.NewReplacer("HOST", raw.host, "OTHER", strings.TrimPrefix(other.URL, "https://")).Replace(request)); got.status == http.StatusOK || got.status == http.StatusSwitchingProtocols {
			t.Errorf("%s: %+v", name, got)
		}
	}
	select {
	case r := <-asked:
		t.Errorf("the application was asked %s %v", r.URL, r.Header)
	default:
	}
	t.Run("a worker of a folder", func(t *testing.T) {
		raw := dialSite(t, s)
		got := raw.say("GET /app/c.js HTTP/1.1\r\nHost: " + raw.host + "\r\n" + visit + "Service-Worker: script\r\n\r\n")
		if <-asked; got.status != http.StatusOK {
			t.Errorf("%+v", got)
		}
	})
	t.Run("an absolute address of its own", func(t *testing.T) {
		raw := dialSite(t, s)
		got := raw.say("GET " + s.URL + "/d?e HTTP/1.1\r\nHost: evil.example\r\n" + visit + "\r\n")
		if r := <-asked; got.status != http.StatusOK || r.URL.String() != "/d?e" || r.Host != address {
			t.Errorf("%+v; the application was asked %s at %s", got, r.URL, r.Host)
		}
	})
	t.Run("another protocol", func(t *testing.T) {
		raw := dialSite(t, s)
		got := raw.say("GET /f HTTP/1.1\r\nHost: " + raw.host + "\r\n" + visit + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n")
		if r := <-asked; got.status != http.StatusOK || r.Header.Get("Upgrade") != "" {
			t.Errorf("%+v; the application was asked %v", got, r.Header)
		}
	})
}

// What somebody who has no visit sends slowly holds no connection for long.
func TestWhoIsSlowAtASiteIsCutOff(t *testing.T) {
	t.Parallel()
	address, _ := hostile(t, nil)
	s := openSite(t, nil, press, "http://"+address)
	for name, start := range map[string]string{
		"headers": "GET / HTTP/1.1\r\nHost: HOST\r\nX-A:",
		"a body":  "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1000\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := dialSite(t, s)
			if _, err := io.WriteString(raw.conn, strings.ReplaceAll(start, "HOST", raw.host)); err != nil {
				t.Fatal(err)
			}
			_ = raw.conn.SetReadDeadline(time.Now().Add(time.Minute))
			_, err := io.Copy(io.Discard, raw.conn)
			var e net.Error
			if errors.As(err, &e) && e.Timeout() {
				t.Error("the connection is held")
			}
		})
	}
}

// A page of another site opens no WebSocket of an application in its visitor's name, and neither does a script of a
// neighbour below the same domain, whose requests browsers send the cookie with.
func TestAnotherSitesPageOpensNoWebSocketOfAnApplication(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	s := openSite(t, nil, press, app.URL)
	c := enter(t, s)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{"https://evil.example", "https://" + strings.Repeat("a", 26) + ".tunnel.localhost:" + u.Port(), shared.ready.API, "null", "http://" + u.Host} {
		dialer := websocket.Dialer{TLSClientConfig: trust(t), NetDialContext: toServer, Jar: c.Jar}
		ws, response, err := dialer.Dial("wss://"+u.Host+"/ws", http.Header{"Origin": {origin}})
		if err == nil {
			_ = ws.Close()
			t.Errorf("%s opened it", origin)
		} else if response == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v, %v", origin, response, err)
		}
	}
	if app.saw("Websocket") || app.saw("/ws") {
		t.Error("the application was asked")
	}
}
