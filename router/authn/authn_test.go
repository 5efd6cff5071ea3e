package authn

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gammazero/nexus/v3/wamp/crsign"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

var (
	project = wire.Key(1001)
	realm   = realms.OfInstallation(project, 77, wire.Dev)
	device  = realms.Device{Serial: wire.NewSerial(), Key: 11, Project: project, Secrets: []secret.Value{secret.Random()}}
	home    = netip.MustParsePrefix("192.0.2.1/32")
	away    = netip.MustParsePrefix("2001:db8::/64")
)

func directory() *realms.Directory {
	return (&realms.Directory{}).Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: realm})
		e.PutDevice(device)
	})
}

func authenticator(c Config) *Authenticator {
	a := New(c)
	a.Apply(directory())
	return a
}

func request(authid string, from netip.Prefix, methods ...string) Request {
	return Request{Realm: realm.Name(), AuthID: authid, Methods: methods, Network: from, Session: 1}
}

// try makes one attempt by WAMP-CRA.
func try(t *testing.T, a *Authenticator, q Request, s secret.Value) (Grant, error) {
	t.Helper()
	x, err := a.Begin(q)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := x.Challenge.Extra["challenge"].(string)
	return x.Answer(t.Context(), &message.Authenticate{Signature: crsign.SignChallenge(text, s.Reveal())})
}

func TestADeviceMayUseEitherOfItsSecretsDuringARotation(t *testing.T) {
	t.Parallel()
	next := secret.Random()
	a := authenticator(Config{})
	a.Apply(directory().Edit(func(e *realms.Editor) {
		d := device
		d.Secrets = []secret.Value{device.Secrets[0], next}
		e.PutDevice(d)
	}))
	for _, s := range []secret.Value{device.Secrets[0], next} {
		g, err := try(t, a, request(string(device.Serial), home, MethodCRA), s)
		if err != nil || g.Principal.Device != device.Key || g.Method != MethodCRA {
			t.Errorf("%+v %v", g, err)
		}
	}
}

func TestTheFirstMethodOfTheClientsThatIsOnOfferIsUsed(t *testing.T) {
	t.Parallel()
	a := authenticator(Config{Tickets: noTickets{}})
	for _, c := range []struct {
		offered []string
		want    string // "" for a refusal
	}{
		{[]string{MethodCRA, MethodTicket}, MethodCRA},
		{[]string{MethodTicket, MethodCRA}, MethodTicket},
		{[]string{MethodCryptosign, "anonymous", MethodCRA}, MethodCRA}, // there are no keys
		{[]string{"anonymous"}, ""},
		{nil, ""},
	} {
		x, err := a.Begin(request("x", home, c.offered...))
		switch {
		case c.want == "" && errs.URIOf(err) != noAuthMethod:
			t.Errorf("%v: %v", c.offered, err)
		case c.want != "" && (err != nil || x.Challenge.Method != c.want):
			t.Errorf("%v: %v %v", c.offered, x, err)
		}
	}
}

type noTickets struct{}

func (noTickets) Redeem(string, string, string) (realms.Principal, error) {
	return realms.Principal{}, errs.E(wire.Unavailable, "the database is down")
}

func TestATicketThatCannotBeCheckedIsNotCalledWrong(t *testing.T) {
	t.Parallel()
	a := authenticator(Config{Tickets: noTickets{}})
	x, err := a.Begin(request("42", home, MethodTicket))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Answer(t.Context(), &message.Authenticate{Signature: "x"}); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
}

type anyTicket realms.Principal

func (p anyTicket) Redeem(string, string, string) (realms.Principal, error) {
	return realms.Principal(p), nil
}

func TestATicketMakesNobodyMoreThanAPersonOfTheProject(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]realms.Principal{
		"the backend":                   {Role: realms.RoleBackend, AuthID: "42", Project: project},
		"a service":                     {Role: realms.RoleService, AuthID: "42", Project: project},
		"a person of another project":   {Role: realms.RoleConsole, AuthID: "42", Project: 5},
		"another person":                {Role: realms.RoleConsole, AuthID: "43", Project: project},
		"nobody":                        {},
		"a person, but without project": {Role: realms.RoleConsole, AuthID: "42"},
	} {
		x, err := authenticator(Config{Tickets: anyTicket(p)}).Begin(request("42", home, MethodTicket))
		if err != nil {
			t.Fatal(err)
		}
		if g, err := x.Answer(t.Context(), &message.Authenticate{Signature: "x"}); err == nil {
			t.Errorf("%s: got %+v", name, g)
		}
	}
}

func TestFailuresDelayTheirSourceAndNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, right := authenticator(Config{}), device.Secrets[0]
		victim := string(device.Serial)
		for range 20 {
			if _, err := try(t, a, request(victim, home, MethodCRA), secret.FromString("wrong")); err == nil {
				t.Fatal("let in")
			}
		}
		start := time.Now()
		if _, err := try(t, a, request(victim, away, MethodCRA), right); err != nil || time.Since(start) > 0 {
			t.Errorf("from elsewhere: %v after %v", err, time.Since(start))
		}
		if _, err := try(t, a, request(string(wire.NewSerial()), home, MethodCRA), right); err == nil || time.Since(start) > 0 {
			t.Errorf("another authid: %v after %v", err, time.Since(start))
		}
		if _, err := try(t, a, request(victim, home, MethodCRA), right); errs.URIOf(err) != "wamp.error.authentication_failed" {
			t.Errorf("the source itself: %v", err)
		}
		time.Sleep(maxDelay + maxWait) // the bubble's clock
		if _, err := try(t, a, request(victim, home, MethodCRA), right); err != nil {
			t.Errorf("later: %v", err)
		}
		start = time.Now()
		if _, err := try(t, a, request(victim, home, MethodCRA), right); err != nil || time.Since(start) > 0 {
			t.Errorf("after a success: %v after %v", err, time.Since(start))
		}
	})
}

func TestAttemptsAtTheSameTimeWaitOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := authenticator(Config{})
		q := request(string(device.Serial), home, MethodCRA)
		start := time.Now()
		_, _ = try(t, a, q, secret.FromString("wrong"))
		ends := make(chan time.Duration)
		for range 3 {
			x, err := a.Begin(q)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = x.Answer(t.Context(), &message.Authenticate{})
				ends <- time.Since(start)
			}()
		}
		last := time.Duration(0)
		for range 3 {
			end := <-ends
			if end < last+firstDelay {
				t.Errorf("attempts ended at %v and %v", last, end)
			}
			last = end
		}
	})
}

func TestAnAttemptIsGivenUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := authenticator(Config{})
		q := request(string(device.Serial), home, MethodCRA)
		_, _ = try(t, a, q, secret.FromString("wrong"))
		x, err := a.Begin(q)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), firstDelay/2)
		defer cancel()
		start := time.Now()
		if _, err := x.Answer(ctx, &message.Authenticate{}); err == nil || time.Since(start) > firstDelay/2 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestWhatStrangersMakeTheServerRememberIsBounded(t *testing.T) {
	t.Parallel()
	th := newThrottle()
	for i := range uint64(maxSources + 100) {
		th.failed(i)
	}
	if n := len(th.sources); n > maxSources {
		t.Errorf("%d sources are kept", n)
	}
}

// The work is the same for every refusal. Time itself cannot be tested without flakes; what is allocated stands for it.
func TestAnUnknownPrincipalCostsAsMuchAsAWrongSecret(t *testing.T) {
	a := New(Config{})
	a.Apply(directory().Edit(func(e *realms.Editor) {
		d := device
		d.Serial, d.Suspended = "00000000-0000-4000-8000-000000000001", true
		e.PutDevice(d)
	}))
	cost := func(authid string) float64 {
		return testing.AllocsPerRun(200, func() {
			x, err := a.Begin(request(authid, home, MethodCRA))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.prove(&message.Authenticate{Signature: strings.Repeat("A", 44)}); err == nil {
				t.Fatal("let in")
			}
		})
	}
	wrong := cost(string(device.Serial))
	for _, authid := range []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"} {
		if got := cost(authid); got < wrong-4 || got > wrong+4 {
			t.Errorf("%s: %v allocations, a wrong secret %v", authid, got, wrong)
		}
	}
}

func TestAnAuthIDWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := authenticator(Config{}).Begin(request(strings.Repeat("x", MaxAuthID+1), home, MethodCRA)); err == nil {
		t.Error("challenged")
	}
}

func FuzzJoin(f *testing.F) {
	a := New(Config{Keys: noKeys{}, Tickets: noTickets{}})
	a.Apply(directory())
	id := realms.AppIdentity{App: 77, Stage: wire.Dev, Epoch: 1, Serial: device.Serial}
	for _, method := range []string{MethodCRA, MethodTicket, MethodCryptosign, MethodSCRAM, MethodTLS} {
		f.Add(string(device.Serial), method, "", "nonce")
		f.Add(id.AuthID(), method, strings.Repeat("00", signedSize), "nonce")
		f.Add("service:x", method, "AAAA", "")
	}
	f.Fuzz(func(t *testing.T, authid, method, signature, extra string) {
		q := request(authid, home, method)
		q.Extra = message.Dict{"nonce": extra}
		x, err := a.Begin(q)
		if err != nil {
			return
		}
		if g, err := x.prove(&message.Authenticate{Signature: signature, Extra: message.Dict{"nonce": extra}}); err == nil {
			t.Fatalf("%q was let in as %+v", authid, g)
		}
	})
}

type noKeys struct{}

func (noKeys) PublicKeys(realms.Device) [][]byte { return nil }
