package wampx_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gorilla/websocket"

	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
)

const (
	testRealm  = "realm.test"
	testSecret = "an example of a secret"
)

// keys knows one secret for every authid.
type keys struct{}

func (keys) AuthKey(string, string) ([]byte, error)           { return []byte(testSecret), nil }
func (keys) PasswordInfo(string) (string, int, int)           { return "", 0, 0 }
func (keys) Provider() string                                 { return "test" }
func (keys) AuthRole(string) (string, error)                  { return "device", nil }
func (keys) OnWelcome(string, *wamp.Welcome, wamp.Dict) error { return nil }
func (keys) AuthMethod() string                               { return "ticket" }
func (keys) Authenticate(wamp.ID, wamp.Dict, wamp.Peer) (*wamp.Welcome, error) {
	return nil, errors.New("no tickets here")
}

// nexus starts a router that this project did not write, behind real TLS.
func nexus(t *testing.T) (router.Router, *httptest.Server) {
	t.Helper()
	r, err := router.NewRouter(&router.Config{RealmConfigs: []*router.RealmConfig{{
		URI:            testRealm,
		AnonymousAuth:  true, // for peers in this process; those that dial ask for wampcra
		AllowDisclose:  true,
		Authenticators: []auth.Authenticator{auth.NewCRAuthenticator(keys{}, time.Second)},
	}}}, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	ws := router.NewWebsocketServer(r)
	srv := httptest.NewUnstartedServer(ws)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(func() {
		r.Close()
		srv.Close()
	})
	return r, srv
}

func config(srv *httptest.Server) wampx.Config {
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return wampx.Config{
		URL:     "wss" + strings.TrimPrefix(srv.URL, "https") + "/ws",
		Realm:   testRealm,
		TLS:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		AuthID:  "someone",
		Secret:  secret.FromString(testSecret),
		Options: wampx.Options{Log: slog.New(slog.DiscardHandler)},
	}
}

func dial(t *testing.T, c wampx.Config) *wampx.Session {
	t.Helper()
	s, err := wampx.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeSession(t, s) })
	return s
}

func closeSession(t *testing.T, s *wampx.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// script is a router that does what a test tells it, message by message, for what no honest router does.
type script struct {
	t    *testing.T
	conn *websocket.Conn
}

// scripted starts a router that welcomes everybody and then follows the test.
func scripted(t *testing.T, play func(s script)) *httptest.Server {
	t.Helper()
	var playing sync.WaitGroup
	upgrader := websocket.Upgrader{Subprotocols: []string{"wamp.2.json"}}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		playing.Add(1)
		defer playing.Done()
		defer conn.Close() //nolint:errcheck // the test is over
		s := script{t, conn}
		s.expect(wamp.HELLO)
		s.send(wamp.WELCOME, 1, wamp.Dict{"roles": wamp.Dict{"broker": wamp.Dict{}, "dealer": wamp.Dict{}}})
		play(s)
	}))
	t.Cleanup(func() {
		srv.Close()
		playing.Wait()
	})
	return srv
}

// next reads a message; nil when the connection ends.
func (s script) next() []any {
	var list []any
	if _, data, err := s.conn.ReadMessage(); err != nil || json.Unmarshal(data, &list) != nil {
		return nil
	}
	return list
}

// expect reads messages until one of the type comes; nil when the connection ends.
func (s script) expect(want wamp.MessageType) []any {
	for {
		if list := s.next(); list == nil || list[0] == float64(want) {
			return list
		}
	}
}

func (s script) send(fields ...any) {
	if t, ok := fields[0].(wamp.MessageType); ok {
		fields[0] = int(t)
	}
	_ = s.conn.WriteJSON(fields)
}
