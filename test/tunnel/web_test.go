package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// application is a web application as they are: with cookies, WebSockets, uploads, events and redirects to its own address.
type application struct {
	*httptest.Server
	mu   sync.Mutex // guards seen
	seen []string   // all headers that ever came
}

func newApplication(t *testing.T) *application {
	t.Helper()
	a := &application{}
	var up websocket.Upgrader // it wants the origin of its own host
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		for kind, text, err := ws.ReadMessage(); err == nil; kind, text, err = ws.ReadMessage() {
			_ = ws.WriteMessage(kind, text)
		}
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		fmt.Fprint(w, hex.EncodeToString(sum.Sum(nil)))
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "of-the-app", Domain: "tunnel.localhost", Path: "/"})
		http.SetCookie(w, &http.Cookie{Name: "__Host-bulkhead-visit", Value: "of-the-app", Secure: true, Path: "/"})
		w.Header().Set("Strict-Transport-Security", "max-age=9; includeSubDomains")
		w.Header().Set("Clear-Site-Data", `"*"`)
		http.Redirect(w, r, a.URL+"/home?a=1", http.StatusFound)
	})
	mux.HandleFunc("/home", func(w http.ResponseWriter, r *http.Request) {
		own, _ := r.Cookie("session")
		fmt.Fprintf(w, "host %s, for %s %s %s, %v", r.Host, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.URL.RawQuery, own)
	})
	mux.HandleFunc("/api/v1/whoami", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the application's own") })
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.seen = append(a.seen, fmt.Sprint(r.URL, r.Header))
		a.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// saw reports whether something ever came to the application.
func (a *application) saw(text string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Contains(strings.Join(a.seen, "\n"), text)
}

// site is a `bulkhead tunnel open --to http://…` that runs.
type site struct {
	ID       string `json:"id"`
	URL      string `json:"url"`
	EntryURL string `json:"entry_url"`
	Tunnel   struct {
		EndToEnd bool `json:"end_to_end"`
	} `json:"tunnel"`

	stop func()
	done chan error
}

func openSite(t *testing.T, key *string, device, to string, more ...string) *site {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := shared.command(ctx, key, append([]string{"tunnel", "open", device, "--to", to, "-o", "json"}, more...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	told := &lines{}
	c.Stderr = told
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s := &site{stop: cancel, done: make(chan error, 1)}
	errOut := json.NewDecoder(out).Decode(s)
	go func() {
		err := c.Wait()
		if c.ProcessState.Success() {
			err = nil
		} else {
			err = errors.Join(err, errors.New(told.String()))
		}
		s.done <- err
	}()
	t.Cleanup(func() { cancel(); err := <-s.done; s.done <- err })
	if errOut != nil {
		cancel()
		t.Fatalf("the tunnel is not open: %v\n%s", errOut, told)
	}
	return s
}

// browser is a client with cookies that finds all hosts at the server, and shows where it is led.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: trust(t), DialContext: toServer}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func trust(t *testing.T) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(shared.ready.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: roots}
}

func toServer(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, strings.TrimPrefix(shared.ready.API, "https://"))
}

// get gives status, location and text of an answer.
func get(t *testing.T, c *http.Client, url string, change ...func(*http.Request)) (status int, location, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Location"), string(body)
}

// enter takes a browser to a site.
func enter(t *testing.T, s *site) *http.Client {
	t.Helper()
	c := browser(t)
	if status, location, text := get(t, c, s.EntryURL); status != http.StatusSeeOther || location != s.URL+"/" {
		t.Fatalf("%d to %q, %s", status, location, text)
	}
	return c
}

// socket opens a WebSocket of a site at a path where the server has one of its own.
func socket(t *testing.T, c *http.Client, s *site) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: trust(t), NetDialContext: toServer, Jar: c.Jar, Subprotocols: []string{"wamp.2.json"}}
	ws, _, err := dialer.Dial("wss"+strings.TrimPrefix(s.URL, "https")+"/ws", http.Header{"Origin": {s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func TestAWebApplicationIsShownUnderAHostOfItsOwn(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	s := openSite(t, nil, press, app.URL)
	c := enter(t, s)
	if s.Tunnel.EndToEnd {
		t.Error("it is marked as encrypted from end to end")
	}
	t.Run("cookies and redirects", func(t *testing.T) {
		status, location, _ := get(t, c, s.URL+"/login")
		if status != http.StatusFound || location != s.URL+"/home?a=1" {
			t.Errorf("%d to %q", status, location)
		}
		status, _, text := get(t, c, location, func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", "203.0.113.9")
			r.Header.Set("Authorization", "Bearer bhk_canary")
			r.AddCookie(&http.Cookie{Name: "__Host-bulkhead", Value: "canary"})
		})
		if want := "host " + strings.TrimPrefix(app.URL, "http://") + ", for 127.0.0.1 https a=1, session=of-the-app"; status != http.StatusOK || text != want {
			t.Errorf("%d, %s, want %s", status, text, want)
		}
		if app.saw("bulkhead") || app.saw("canary") || app.saw("entry=") || app.saw("203.0.113.9") {
			t.Error("the device saw what is the server's")
		}
		u, _ := url.Parse(s.URL)
		for _, cookie := range c.Jar.Cookies(u) {
			if cookie.Name == "__Host-bulkhead-visit" && cookie.Value == "of-the-app" {
				t.Error("the application took the visit's cookie")
			}
		}
	})
	t.Run("uploads", func(t *testing.T) {
		const size = 64 << 20
		sum, block := sha256.New(), make([]byte, 1<<20)
		_, _ = rand.Read(block)
		var body []io.Reader
		for range size / len(block) {
			body = append(body, bytes.NewReader(block))
			sum.Write(block)
		}
		response, err := c.Post(s.URL+"/upload", "application/octet-stream", io.MultiReader(body...))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if text, _ := io.ReadAll(response.Body); string(text) != hex.EncodeToString(sum.Sum(nil)) {
			t.Errorf("%s arrived", text)
		}
	})
	t.Run("events", func(t *testing.T) {
		response, err := c.Get(s.URL + "/events")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if line, err := bufio.NewReader(response.Body).ReadString('\n'); line != "data: first\n" || err != nil {
			t.Errorf("%q, %v", line, err)
		}
	})
	t.Run("websockets", func(t *testing.T) {
		ws := socket(t, c, s)
		_ = ws.WriteMessage(websocket.TextMessage, []byte("ping"))
		if _, text, err := ws.ReadMessage(); string(text) != "ping" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	})
	t.Run("list", func(t *testing.T) {
		type row struct {
			ID, URL string
			E2E     bool `json:"end_to_end"`
		}
		for _, one := range must[[]row](t, nil, "tunnel", "list", "--project", "plant-a") {
			if one.ID == s.ID && (one.URL != s.URL || one.E2E) {
				t.Errorf("listed as %+v", one)
			}
		}
	})
}

func TestAHostNameAloneOpensNothing(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	s := openSite(t, nil, press, app.URL)
	other := openSite(t, nil, press, app.URL)
	c := enter(t, s)
	stranger := browser(t)
	page := func(r *http.Request) { r.Header.Set("Accept", "text/html") }
	if status, location, _ := get(t, stranger, s.URL+"/home?x=1", page); status != http.StatusSeeOther || !strings.HasPrefix(location, shared.ready.API+"/tunnel/enter?site=") {
		t.Errorf("%d to %q", status, location)
	}
	if status, location, _ := get(t, stranger, s.EntryURL, page); status != http.StatusSeeOther || !strings.HasPrefix(location, shared.ready.API+"/tunnel/enter?site=") {
		t.Errorf("a way in that was used: %d to %q", status, location)
	}
	_, word, _ := strings.Cut(other.EntryURL, "?entry=")
	base, _, _ := strings.Cut(s.EntryURL, "?entry=")
	if _, location, _ := get(t, browser(t), base+"?entry="+word, page); !strings.HasPrefix(location, shared.ready.API) {
		t.Errorf("the way into another site leads to %q", location)
	}
	for name, change := range map[string]func(*http.Request){
		"another site's script": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"another site's frame": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			r.Header.Set("Sec-Fetch-Dest", "iframe")
		},
		"another origin": func(r *http.Request) { r.Header.Set("Origin", other.URL) },
	} {
		if status, _, text := get(t, c, s.URL+"/home", change); status != http.StatusForbidden {
			t.Errorf("%s: %d, %s", name, status, text)
		}
	}
	if status, _, text := get(t, c, s.URL+"/api/v1/whoami"); status != http.StatusOK || text != "the application's own" {
		t.Errorf("the API's path at the site: %d, %s", status, text)
	}
	key, err := os.ReadFile(shared.ready.OwnerAPIKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(s.URL, "https://")
	_, port, _ := strings.Cut(host, ":")
	for _, name := range []string{
		strings.ToUpper(host), strings.Replace(host, ":", ".:", 1), "tunnel.localhost", "x.tunnel.localhost:" + port, "x." + host,
		strings.Repeat("a", 26) + ".tunnel.localhost", "TUNNEL.localhost.:" + port,
	} {
		for _, path := range []string{"/api/v1/whoami", "/login", "/ws", "/tunnel/user"} {
			status, _, text := get(t, stranger, shared.ready.API+path, func(r *http.Request) {
				r.Host = name
				r.Header.Set("Authorization", "Bearer "+string(key))
			})
			if status == http.StatusOK || strings.Contains(text, "bootstrap") || status != http.StatusNotFound && status != http.StatusSeeOther {
				t.Errorf("%s%s: %d, %s", name, path, status, text)
			}
		}
	}
	if app.saw(string(key)) {
		t.Error("the device saw the API key")
	}
}

func TestWhatIsOpenAtASiteEndsWithItsTunnel(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	s := openSite(t, nil, press, app.URL)
	c := enter(t, s)
	ws := socket(t, c, s)
	_ = ws.WriteMessage(websocket.TextMessage, []byte("ping"))
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	must[any](t, nil, "tunnel", "close", s.ID)
	broken(t, ws.NetConn())
	page := func(r *http.Request) { r.Header.Set("Accept", "text/html") }
	if status, _, text := get(t, c, s.URL+"/home", page); status != http.StatusNotFound && status != http.StatusServiceUnavailable || !strings.Contains(text, "/.bulkhead/static/bulkhead-") {
		t.Errorf("%d, %s", status, text) // unknown again, or still known as what has ended
	}
	if err := <-s.done; err == nil || !strings.Contains(err.Error(), "somebody closed it") {
		t.Errorf("the command says %v", err)
	} else {
		s.done <- err
	}
	type line struct {
		Action string `json:"action"`
		After  struct {
			Tunnel   string `json:"tunnel"`
			EndToEnd bool   `json:"end_to_end"`
		} `json:"after"`
	}
	var actions []string
	entered := false
	for _, one := range must[[]line](t, nil, "audit", "list", "--project", "plant-a", "--limit", "500") {
		if one.After.Tunnel != s.ID || one.After.EndToEnd {
			continue
		}
		if one.Action == "tunnel.enter" { // before or after the device has come
			entered = true
		} else {
			actions = append([]string{one.Action}, actions...)
		}
	}
	if got := strings.Join(actions, " "); !strings.HasPrefix(got, "tunnel.request tunnel.grant tunnel.open") || !entered || !strings.HasSuffix(got, "tunnel.close") {
		t.Errorf("on record: %s", got)
	}
}

func TestASiteOfWhatDoesNotAnswerSaysSo(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	app.Close()
	s := openSite(t, nil, press, app.URL)
	c := enter(t, s)
	if status, _, text := get(t, c, s.URL+"/", func(r *http.Request) { r.Header.Set("Accept", "text/html") }); status != http.StatusBadGateway || !strings.Contains(text, "does not get an answer") {
		t.Errorf("%d, %s", status, text)
	}
}
