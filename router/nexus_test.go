package router_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/client"
	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/transport"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gammazero/nexus/v3/wamp/crsign"

	"bulkhead/router"
)

// embedded is a router as an embedder of nexus's has it.
func embedded(t *testing.T, c *nexus.RealmConfig, options ...router.NexusOption) *router.Nexus {
	t.Helper()
	r, err := router.New(router.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	n := router.NewNexus(r, options...)
	t.Cleanup(n.Close)
	if err := n.AddRealm(c); err != nil {
		t.Fatal(err)
	}
	return n
}

func open() *nexus.RealmConfig {
	return &nexus.RealmConfig{URI: "nexus.realm1", AnonymousAuth: true, AllowDisclose: true}
}

// routed checks that events and calls pass between two clients.
func routed(t *testing.T, a, b *client.Client) {
	t.Helper()
	events := make(chan *wamp.Event, 1)
	if err := a.SubscribeChan("some.topic", events, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish("some.topic", wamp.Dict{"acknowledge": true}, wamp.List{"x"}, wamp.Dict{"k": 1}); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Arguments[0] != "x" {
		t.Errorf("got %v", e)
	}
	echo := func(_ context.Context, i *wamp.Invocation) client.InvokeResult {
		return client.InvokeResult{Args: i.Arguments}
	}
	if err := a.Register("some.procedure", echo, nil); err != nil {
		t.Fatal(err)
	}
	result, err := b.Call(t.Context(), "some.procedure", nil, wamp.List{"y"}, nil, nil)
	if err != nil || result.Arguments[0] != "y" {
		t.Errorf("got %v %v", result, err)
	}
}

func connectLocal(t *testing.T, n nexus.Router, cfg client.Config) *client.Client {
	t.Helper()
	cfg.Logger = discard{}
	c, err := client.ConnectLocal(n, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestWhatAttachesToANexusRouterAttachesToThis(t *testing.T) {
	t.Parallel()
	n := embedded(t, open())
	cfg := client.Config{Realm: "nexus.realm1", Logger: discard{}}
	t.Run("a local client", func(t *testing.T) {
		routed(t, connectLocal(t, n, cfg), connectLocal(t, n, cfg))
	})
	t.Run("nexus's WebSocket server", func(t *testing.T) {
		connect := serving(t, nexus.NewWebsocketServer(n), "")
		routed(t, connect(cfg), connect(cfg))
	})
	t.Run("our handler", func(t *testing.T) {
		connect := serving(t, httptestHandler{n}, "/ws")
		routed(t, connect(cfg), connect(cfg))
	})
}

type httptestHandler struct{ *router.Nexus }

func (h httptestHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.Handler().ServeHTTP(w, r)
}

func serving(t *testing.T, h http.Handler, path string) func(client.Config) *client.Client {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return func(cfg client.Config) *client.Client {
		t.Helper()
		c, err := client.ConnectNet(t.Context(), strings.Replace(server.URL, "http", "ws", 1)+path, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// F24
func TestALocalPeerIsNotTrustedUnlessAsked(t *testing.T) {
	t.Parallel()
	closed := &nexus.RealmConfig{URI: "nexus.realm1"}
	cfg := client.Config{Realm: "nexus.realm1", Logger: discard{}}
	if c, err := client.ConnectLocal(embedded(t, closed), cfg); err == nil {
		_ = c.Close()
		t.Error("a local peer joined without authentication")
	}
	n := embedded(t, closed, router.TrustLocal)
	if role := connectLocal(t, n, cfg).RealmDetails()["authrole"]; role != "trusted" {
		t.Errorf("role %v", role)
	}
	strict := *closed
	strict.URI, strict.RequireLocalAuth = "nexus.realm2", true
	if err := n.AddRealm(&strict); err != nil {
		t.Fatal(err)
	}
	cfg.Realm = "nexus.realm2"
	if c, err := client.ConnectLocal(n, cfg); err == nil {
		_ = c.Close()
		t.Error("a local peer joined though the realm requires authentication")
	}
}

type keyStore struct{}

func (keyStore) AuthKey(authid, _ string) ([]byte, error) {
	if authid == "joe" {
		return []byte("secret"), nil
	}
	return nil, errors.New("unknown")
}
func (keyStore) PasswordInfo(string) (string, int, int) { return "", 0, 0 }
func (keyStore) AuthRole(string) (string, error)        { return "user", nil }
func (keyStore) Provider() string                       { return "static" }

func TestAnEmbeddersAuthenticatorsDecide(t *testing.T) {
	t.Parallel()
	n := embedded(t, &nexus.RealmConfig{
		URI: "nexus.realm1", Authenticators: []auth.Authenticator{auth.NewCRAuthenticator(keyStore{}, time.Second)},
	})
	server := httptest.NewServer(n.Handler())
	t.Cleanup(server.Close)
	connect := func(authid, secret string) (*client.Client, error) {
		return client.ConnectNet(t.Context(), strings.Replace(server.URL, "http", "ws", 1)+"/ws", client.Config{
			Realm: "nexus.realm1", Logger: discard{}, HelloDetails: wamp.Dict{"authid": authid},
			AuthHandlers: map[string]client.AuthFunc{"wampcra": func(c *wamp.Challenge) (string, wamp.Dict) {
				return crsign.RespondChallenge(secret, c, nil), wamp.Dict{}
			}},
		})
	}
	c, err := connect("joe", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if d := c.RealmDetails(); d["authid"] != "joe" || d["authrole"] != "user" {
		t.Errorf("details %v", d)
	}
	_ = c.Close()
	for authid, secret := range map[string]string{"joe": "guess", "jim": "secret"} {
		if c, err := connect(authid, secret); err == nil {
			_ = c.Close()
			t.Errorf("%s joined with %s", authid, secret)
		}
	}
}

type authorizerFunc func(*wamp.Session, wamp.Message) (bool, error)

func (f authorizerFunc) Authorize(s *wamp.Session, m wamp.Message) (bool, error) { return f(s, m) }

// F12
func TestAnEmbeddersAuthorizerDecidesAboutTestamentsToo(t *testing.T) {
	t.Parallel()
	cfg := open()
	cfg.Authorizer = authorizerFunc(func(_ *wamp.Session, m wamp.Message) (bool, error) {
		switch m := m.(type) {
		case *wamp.Publish:
			return m.Topic != "forbidden", nil
		case *wamp.Subscribe:
			return m.Topic != "broken", errorFor(m.Topic)
		default:
			return true, nil
		}
	})
	c := connectLocal(t, embedded(t, cfg), client.Config{Realm: "nexus.realm1"})
	ack := wamp.Dict{"acknowledge": true}
	if err := c.Publish("allowed", ack, nil, nil); err != nil {
		t.Error(err)
	}
	if err := c.Publish("forbidden", ack, nil, nil); err == nil || !strings.Contains(err.Error(), "not_authorized") {
		t.Errorf("got %v", err)
	}
	if err := c.Subscribe("broken", func(*wamp.Event) {}, nil); err == nil || !strings.Contains(err.Error(), "authorization_failed") {
		t.Errorf("got %v", err)
	}
	testament := func(topic string) error {
		_, err := c.Call(t.Context(), "wamp.session.add_testament", nil, wamp.List{topic, wamp.List{}, wamp.Dict{}}, nil, nil)
		return err
	}
	if err := testament("allowed"); err != nil {
		t.Error(err)
	}
	if err := testament("forbidden"); err == nil {
		t.Error("a testament publishes what its session may not")
	}
}

func errorFor(topic wamp.URI) error {
	if topic == "broken" {
		return errors.New("the policy server is down")
	}
	return nil
}

// F18
func TestASlowAuthorizerDelaysItsOwnSessionOnly(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	cfg := open()
	cfg.Authorizer = authorizerFunc(func(_ *wamp.Session, m wamp.Message) (bool, error) {
		if p, ok := m.(*wamp.Publish); ok && p.Topic == "slow" {
			<-release
		}
		return true, nil
	})
	n := embedded(t, cfg)
	slow, a, b := connectLocal(t, n, client.Config{Realm: "nexus.realm1"}), connectLocal(t, n, client.Config{Realm: "nexus.realm1"}), connectLocal(t, n, client.Config{Realm: "nexus.realm1"})
	done := make(chan error)
	go func() { done <- slow.Publish("slow", wamp.Dict{"acknowledge": true}, nil, nil) }()
	routed(t, a, b)
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// F23
func TestARealmCannotBeAddedAfterTheEnd(t *testing.T) {
	t.Parallel()
	n := embedded(t, open())
	c := connectLocal(t, n, client.Config{Realm: "nexus.realm1"})
	n.RemoveRealm("nexus.realm1")
	<-c.Done()
	n.RemoveRealm("nexus.realm1")
	n.Close()
	n.Close()
	if err := n.AddRealm(open()); err == nil {
		t.Error("added")
	}
	ours, theirs := transport.LinkedPeers()
	if err := n.Attach(theirs); err == nil {
		t.Error("attached")
	}
	_ = ours
}

func TestARealmThatCannotBeServedAsConfiguredIsRefused(t *testing.T) {
	t.Parallel()
	n := embedded(t, open())
	for name, c := range map[string]*nexus.RealmConfig{
		"one that exists":           open(),
		"one without a name":        {},
		"one of the directory":      {URI: "realm-1-1-dev"},
		"one that modifies details": {URI: "x.y", EnableMetaModify: true},
		"one with a filter":         {URI: "x.y", PublishFilterFactory: nexus.NewSimplePublishFilter},
		"one with a bad history":    {URI: "x.y", TopicEventHistoryConfigs: []*nexus.TopicEventHistoryConfig{{MatchPolicy: "regexp"}}},
	} {
		if err := n.AddRealm(c); err == nil {
			t.Errorf("%s was added", name)
		}
	}
}

// unspeakable puts something into WELCOME that no serializer has.
type unspeakable struct{ auth.AnonymousAuth }

func (u *unspeakable) Authenticate(id wamp.ID, details wamp.Dict, p wamp.Peer) (*wamp.Welcome, error) {
	w, err := u.AnonymousAuth.Authenticate(id, details, p)
	if err == nil {
		w.Details["channel"] = make(chan int)
	}
	return w, err
}

func TestAClientThatCannotBeWelcomedIsToldSoAndIsGone(t *testing.T) {
	t.Parallel()
	c := open()
	c.Authenticators = []auth.Authenticator{&unspeakable{}}
	n := embedded(t, c)
	server := httptest.NewServer(httptestHandler{n})
	t.Cleanup(server.Close)
	_, err := client.ConnectNet(t.Context(), strings.Replace(server.URL, "http", "ws", 1)+"/ws", client.Config{
		Realm: "nexus.realm1", Logger: discard{}, ResponseTimeout: patience,
	})
	if err == nil || !strings.Contains(err.Error(), "bulkhead.error.internal") {
		t.Errorf("got %v", err)
	}
	if all, err := n.Sessions("nexus.realm1"); err != nil || len(all) != 0 {
		t.Errorf("%d sessions are left: %v", len(all), err)
	}
}
