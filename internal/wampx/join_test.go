package wampx_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/wire"
)

// bulkhead starts the project's own router with one service in one realm, and gives what joins it.
func bulkhead(t *testing.T) (*router.Router, wampx.Config, realms.Realm) {
	t.Helper()
	r, err := router.New(router.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	realm, key := realms.OfInstallation(1, 2, wire.Prod), secret.Random()
	r.Apply((&realms.Directory{}).Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: realm})
		e.PutService(realm, "sample", key)
	}))
	srv := httptest.NewUnstartedServer(r.Handler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = r.Close(ctx)
		srv.Close()
	})
	c := config(srv)
	c.Realm, c.AuthID, c.Secret = realm.Name(), "service:sample", key
	return r, c, realm
}

func TestARefusalCarriesTheRoutersReason(t *testing.T) {
	t.Parallel()
	_, c, _ := bulkhead(t)
	for name, want := range map[string]struct {
		change func(*wampx.Config)
		kind   wire.Kind
		reason string
	}{
		"wrong secret":  {func(c *wampx.Config) { c.Secret = secret.Random() }, wire.Unauthenticated, "wamp.error.authentication_failed"},
		"nobody":        {func(c *wampx.Config) { c.AuthID = "service:nobody" }, wire.Unauthenticated, "wamp.error.authentication_failed"},
		"no such realm": {func(c *wampx.Config) { c.Realm = "realm-1-3-prod" }, wire.NotFound, wampx.NoSuchRealm},
	} {
		c := c
		want.change(&c)
		_, err := wampx.Dial(t.Context(), c)
		if errs.KindOf(err) != want.kind || wampx.Reason(err) != want.reason {
			t.Errorf("%s: kind %s, reason %q: %v", name, errs.KindOf(err), wampx.Reason(err), err)
		}
	}
}

func TestADialledSessionAndOneInTheRoutersProcessMeet(t *testing.T) {
	t.Parallel()
	r, c, realm := bulkhead(t)
	peer, err := r.Join(t.Context(), realm.Name(), realms.Principal{Role: realms.RoleBackend, AuthID: "backend", Project: 1})
	if err != nil {
		t.Fatal(err)
	}
	inside, err := wampx.FromPeer(t.Context(), peer, realm.Name(), wampx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSession(t, inside)
	for _, serializer := range []wampx.Serializer{wampx.JSON, wampx.MessagePack, wampx.CBOR} {
		c.Serializer = serializer
		outside := dial(t, c)
		callers := make(chan string, 1)
		reg := mustRegister(t, inside, add, func(_ context.Context, in *wampx.Invocation, s sum) (int, error) {
			callers <- in.CallerAuthID + " as " + in.CallerRole
			return s.A + s.B, nil
		})
		if got, err := wampx.Call(t.Context(), outside, add, sum{2, 3}); err != nil || got != 5 {
			t.Errorf("2 + 3 = %d, %v", got, err)
		}
		if got := <-callers; got != "service:sample as service" {
			t.Errorf("the caller is %s", got)
		}
		if err := reg.Close(t.Context()); err != nil {
			t.Error(err)
		}
		rows := make(chan wire.Row, 8)
		if _, err := wampx.Subscribe(t.Context(), outside, wire.TransformedTopic("t"), func(_ context.Context, r wire.Row, _ wampx.Event) { rows <- r }); err != nil {
			t.Fatal(err)
		}
		sent := wire.Row{"tsp": int64(1_700_000_000_000), "x": 0.5}
		if err := wampx.Publish(t.Context(), inside, wire.TransformedTopic("t"), sent, wampx.PublishOptions{Unacknowledged: true}); err != nil {
			t.Fatal(err)
		}
		if got := <-rows; got["tsp"] != uint64(1_700_000_000_000) || got["x"] != 0.5 {
			t.Errorf("got %v", got)
		}
	}
}

func TestARealmThatIsRemovedEndsItsSessionsWithTheReason(t *testing.T) {
	t.Parallel()
	r, c, _ := bulkhead(t)
	s := dial(t, c)
	r.Apply(&realms.Directory{})
	<-s.Done()
	if wampx.Reason(s.Err()) == "" || errs.KindOf(s.Err()) != wire.Unavailable {
		t.Errorf("ended with %v", s.Err())
	}
	if err := s.PublishURI(t.Context(), "topic", nil, nil, wampx.PublishOptions{}); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("a publication on a session that is over: %v", err)
	}
}
