package wampx_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

func TestARouterThatCannotBeReachedIsSaidWhy(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	for name, c := range map[string]struct {
		change func(*wampx.Config)
		kind   wire.Kind
		text   string
	}{
		"not trusted":       {func(c *wampx.Config) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12} }, wire.Unavailable, "certificate is not trusted"},
		"another name":      {func(c *wampx.Config) { c.URL = strings.Replace(c.URL, "127.0.0.1", "localhost", 1) }, wire.Unavailable, "for another name"},
		"not wss":           {func(c *wampx.Config) { c.URL = strings.Replace(c.URL, "wss", "ws", 1) }, wire.Invalid, "wss://"},
		"nobody listens":    {func(c *wampx.Config) { c.URL = "wss://" + deadAddress(t) + "/ws" }, wire.Unavailable, "cannot be reached"},
		"a page, no router": {func(c *wampx.Config) { *c = config(page(t)) }, wire.Unavailable, "HTTP status 418"},
	} {
		config := config(srv)
		c.change(&config)
		_, err := wampx.Dial(t.Context(), config)
		if errs.KindOf(err) != c.kind || !strings.Contains(errs.UserText(err), c.text) {
			t.Errorf("%s: kind %s, text %q: %v", name, errs.KindOf(err), errs.UserText(err), err)
		}
	}
}

func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it is the address that counts
	return l.Addr().String()
}

func page(t *testing.T) *httptest.Server {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(srv.Close)
	return srv
}

func TestARouterThatFallsSilentIsNoticed(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	srv := scripted(t, func(script) { <-over }) // reads nothing more, so answers no ping
	defer close(over)
	c := config(srv)
	c.PingInterval = 40 * time.Millisecond
	began := time.Now()
	s := dial(t, c)
	<-s.Done()
	if took := time.Since(began); took < 2*c.PingInterval {
		t.Errorf("given up after %v, before two intervals", took)
	}
	if !strings.Contains(s.Err().Error(), "silent") || errs.KindOf(s.Err()) != wire.Unavailable {
		t.Errorf("ended with %v", s.Err())
	}
}

func TestARouterThatAnswersPingsIsKept(t *testing.T) {
	t.Parallel()
	pings := make(chan struct{}, 64)
	srv := scripted(t, func(s script) {
		pong := s.conn.PingHandler()
		s.conn.SetPingHandler(func(data string) error {
			pings <- struct{}{}
			return pong(data)
		})
		s.expect(wamp.GOODBYE)
		s.send(wamp.GOODBYE, wamp.Dict{}, wamp.ErrGoodbyeAndOut)
	})
	c := config(srv)
	c.PingInterval = 500 * time.Millisecond
	s := dial(t, c)
	for range 4 { // beyond the silence that would end it
		select {
		case <-pings:
		case <-s.Done():
			t.Fatalf("ended with %v", s.Err())
		}
	}
}

func TestARouterThatTakesConnectionsAndSaysNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is over
	c := config(page(t))
	c.URL = "wss://" + l.Addr().String() + "/ws"
	c.JoinTimeout = 50 * time.Millisecond
	if _, err := wampx.Dial(t.Context(), c); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.JoinTimeout = 0
	go cancel()
	if _, err := wampx.Dial(ctx, c); err == nil {
		t.Error("joined nobody")
	}
}

// cancelAfter gives a context that ends after the signal.
func cancelAfter(t *testing.T, signal <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-signal
		cancel()
	}()
	return ctx
}

// The reply arrives when its waiter has just given up: what follows must still be read.
func TestALateReplyDoesNotParkTheSession(t *testing.T) {
	t.Parallel()
	called, gaveUp := make(chan struct{}), make(chan struct{})
	srv := scripted(t, func(s script) {
		late := s.expect(wamp.CALL)
		close(called)
		<-gaveUp
		for range 3 {
			s.send(wamp.RESULT, late[1], wamp.Dict{}, []any{"late"})
		}
		next := s.expect(wamp.CALL)
		s.send(wamp.RESULT, next[1], wamp.Dict{}, []any{"in time"})
		s.expect(wamp.GOODBYE)
		s.send(wamp.GOODBYE, wamp.Dict{}, wamp.ErrGoodbyeAndOut)
	})
	s := dial(t, config(srv))
	_, _, err := s.CallURI(cancelAfter(t, called), "slow", nil, nil, nil)
	if errs.KindOf(err) != wire.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("the slow call: %v", err)
	}
	close(gaveUp)
	if args, _, err := s.CallURI(t.Context(), "quick", nil, nil, nil); err != nil || args[0] != "in time" {
		t.Errorf("the next call: %v, %v", args, err)
	}
}

func TestASubscriptionThatWasGivenUpIsUndone(t *testing.T) {
	t.Parallel()
	asked, gaveUp, undone := make(chan struct{}), make(chan struct{}), make(chan any, 1)
	srv := scripted(t, func(s script) {
		sub := s.expect(wamp.SUBSCRIBE)
		close(asked)
		<-gaveUp
		s.send(wamp.SUBSCRIBED, sub[1], 77)
		if un := s.expect(wamp.UNSUBSCRIBE); un != nil {
			undone <- un[2]
			s.send(wamp.UNSUBSCRIBED, un[1])
		}
		s.expect(wamp.GOODBYE)
		s.send(wamp.GOODBYE, wamp.Dict{}, wamp.ErrGoodbyeAndOut)
	})
	s := dial(t, config(srv))
	if _, err := s.SubscribeURI(cancelAfter(t, asked), "topic", wampx.Exact, func(context.Context, wampx.Event) {}); err == nil {
		t.Error("subscribed")
	}
	close(gaveUp)
	if id := <-undone; id != 77.0 {
		t.Errorf("unsubscribed %v", id)
	}
}

func TestAnEventRightBehindSubscribedReachesItsHandler(t *testing.T) {
	t.Parallel()
	srv := scripted(t, func(s script) {
		sub := s.expect(wamp.SUBSCRIBE)
		s.send(wamp.SUBSCRIBED, sub[1], 5)
		s.send(wamp.EVENT, 5, 1, wamp.Dict{"topic": "a.b", "publisher_authid": "x", "dropped": 3}, []any{"first"})
		s.expect(wamp.GOODBYE)
		s.send(wamp.GOODBYE, wamp.Dict{}, wamp.ErrGoodbyeAndOut)
	})
	s := dial(t, config(srv))
	events := make(chan wampx.Event, 1)
	if _, err := s.SubscribeURI(t.Context(), "a.", wampx.Prefix, func(_ context.Context, e wampx.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Args[0] != "first" || e.Topic != "a.b" || e.PublisherAuthID != "x" || e.Dropped != 3 {
		t.Errorf("got %+v", e)
	}
}

func TestAMessageThatNoRouterSendsEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, message := range map[string][]any{
		"a call":         {wamp.CALL, 1, wamp.Dict{}, "x"},
		"a negative id":  {wamp.EVENT, -1, 1, wamp.Dict{}},
		"a broken field": {wamp.RESULT, 1, "details"},
		"an empty list":  {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := scripted(t, func(s script) {
				if len(message) == 0 {
					_ = s.conn.WriteJSON(message)
				} else {
					s.send(append([]any(nil), message...)...)
				}
				s.expect(wamp.GOODBYE)
			})
			s := dial(t, config(srv))
			<-s.Done()
			if errs.KindOf(s.Err()) != wire.Unavailable {
				t.Errorf("ended with %v", s.Err())
			}
		})
	}
}

func TestAProxyIsUsed(t *testing.T) {
	t.Parallel()
	_, srv := nexus(t)
	var connects atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "want CONNECT", http.StatusBadRequest)
			return
		}
		connects.Add(1)
		tunnel(w, r.Host)
	}))
	defer proxy.Close()
	c := config(srv)
	c.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	s := dial(t, c)
	if connects.Load() != 1 || s.AuthID() != "someone" {
		t.Errorf("%d connections through the proxy", connects.Load())
	}
}

// tunnel copies between the client of a CONNECT and its target.
func tunnel(w http.ResponseWriter, target string) {
	out, err := net.Dial("tcp", target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer out.Close() //nolint:errcheck // the copy is over
	in, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer in.Close() //nolint:errcheck // the copy is over
	_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(out, buffered)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
}

// The answer and the end of the waiter's time come together, again and again: either the subscription is there, or the
// router is told to forget it.
func TestAnAnswerThatMeetsTheEndOfItsTimeIsKeptOrUndone(t *testing.T) {
	t.Parallel()
	const rounds = 300
	asked := make(chan struct{})
	var open atomic.Int32
	srv := scripted(t, func(s script) {
		for id := 1.0; ; {
			switch m := s.next(); {
			case m == nil:
				return
			case m[0] == float64(wamp.SUBSCRIBE):
				asked <- struct{}{}
				open.Add(1)
				s.send(wamp.SUBSCRIBED, m[1], id)
				id++
			case m[0] == float64(wamp.UNSUBSCRIBE):
				open.Add(-1)
				s.send(wamp.UNSUBSCRIBED, m[1])
			case m[0] == float64(wamp.GOODBYE):
				s.send(wamp.GOODBYE, wamp.Dict{}, wamp.ErrGoodbyeAndOut)
			}
		}
	})
	s := dial(t, config(srv))
	kept := int32(0)
	for range rounds {
		if _, err := s.SubscribeURI(cancelAfter(t, asked), "topic", wampx.Exact, func(context.Context, wampx.Event) {}); err == nil {
			kept++
		}
	}
	for open.Load() != kept { // what was given up last is being undone
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("%d subscriptions are open, %d were given out", open.Load(), kept)
		}
	}
}

func TestARouterThatTakesNothingDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	srv := scripted(t, func(script) { <-over })
	defer close(over)
	s := dial(t, config(srv))
	large := strings.Repeat("x", 4<<20)
	for stuck := false; !stuck; {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		stuck = s.PublishURI(ctx, "topic", []any{large}, nil, wampx.PublishOptions{Unacknowledged: true}) != nil
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_ = s.Close(ctx)   // in vain: the GOODBYE cannot leave
	closeSession(t, s) // but the connection is gone within seconds, and with it all goroutines
}
