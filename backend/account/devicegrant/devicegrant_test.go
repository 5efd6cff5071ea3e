package devicegrant_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/devicegrant"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// log is an audit log, or one that cannot be written.
type log struct {
	mu      sync.Mutex // guards entries
	entries []audit.Entry
	broken  bool
}

func (l *log) Record(_ context.Context, e audit.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return errs.E(wire.Unavailable, "the log cannot be written")
	}
	l.entries = append(l.entries, e)
	return e.Check()
}

var (
	here  = account.Client{Address: "192.0.2.7", RequestID: "r1"}
	there = devicegrant.From{Address: "198.51.100.9", Host: "laptop", Client: "bulkhead/1.0"}
)

func owner() account.Principal {
	return account.Principal{
		Kind: account.KindUser, Key: 7, Name: "owner", Login: "l1", Proof: account.ProofLogin, Level: account.AAL2, FactorAt: time.Now(),
	}
}

func start(t *testing.T, g *devicegrant.Grants) devicegrant.Issued {
	t.Helper()
	issued, err := g.Start(there)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func poll(g *devicegrant.Grants, issued devicegrant.Issued) error {
	_, _, err := g.Poll(string(issued.DeviceCode.Reveal()))
	return err
}

func TestAProgramIsLoggedInAsWhoTypesItsCode(t *testing.T) {
	t.Parallel()
	l := &log{}
	g := devicegrant.New(time.Now, l)
	issued := start(t, g)
	if err := poll(g, issued); !errors.Is(err, devicegrant.ErrPending) {
		t.Errorf("before it is approved: %v", err)
	}
	typed := strings.ToLower(strings.ReplaceAll(issued.UserCode, "-", " "))
	asking, err := g.Describe(owner(), typed)
	if err != nil || asking.UserCode != issued.UserCode || asking.From != there {
		t.Fatalf("described as %+v, %v", asking, err)
	}
	if err := g.Approve(t.Context(), here, owner(), typed); err != nil {
		t.Fatal(err)
	}
	if len(l.entries) != 1 || l.entries[0].Action != audit.LoginApprove || l.entries[0].Actor.ID == "" || strings.Contains(string(l.entries[0].After), there.Address) {
		t.Errorf("recorded %+v", l.entries)
	}
	if err := g.Approve(t.Context(), here, owner(), typed); errs.KindOf(err) != wire.NotFound {
		t.Errorf("approved twice: %v", err)
	}
}

func TestAGrantIsUsedOnceByFiftyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := devicegrant.New(time.Now, &log{})
		issued := start(t, g)
		if err := g.Approve(t.Context(), here, owner(), issued.UserCode); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var won int
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				by, from, err := g.Poll(string(issued.DeviceCode.Reveal()))
				mu.Lock()
				defer mu.Unlock()
				if err == nil && by.Key == 7 && from == there {
					won++
				} else if !errors.Is(err, devicegrant.ErrUnknown) {
					t.Errorf("got %+v, %v", by, err)
				}
			})
		}
		wait.Wait()
		if won != 1 {
			t.Errorf("%d were logged in", won)
		}
	})
}

func TestPollingTooSoonSlowsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := devicegrant.New(time.Now, &log{})
		issued := start(t, g)
		for step, c := range []struct {
			wait time.Duration
			want error
		}{
			{0, devicegrant.ErrPending},
			{time.Second, devicegrant.ErrSlowDown},     // from here on 7 s
			{issued.Interval, devicegrant.ErrSlowDown}, // 12 s
			{devicegrant.Interval + 2*devicegrant.SlowDown, devicegrant.ErrPending},
		} {
			time.Sleep(c.wait)
			if err := poll(g, issued); !errors.Is(err, c.want) {
				t.Errorf("step %d: %v, want %v", step, err, c.want)
			}
		}
	})
}

func TestAGrantEndsAfterTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := devicegrant.New(time.Now, &log{})
		late, lost := start(t, g), start(t, g)
		if err := g.Approve(t.Context(), here, owner(), late.UserCode); err != nil {
			t.Fatal(err)
		}
		time.Sleep(devicegrant.Life)
		if _, err := g.Describe(owner(), lost.UserCode); errs.KindOf(err) != wire.NotFound {
			t.Errorf("shown after its end: %v", err)
		}
		if err := g.Approve(t.Context(), here, owner(), lost.UserCode); errs.KindOf(err) != wire.NotFound {
			t.Errorf("approved after its end: %v", err)
		}
		if err := poll(g, late); !errors.Is(err, devicegrant.ErrExpired) {
			t.Errorf("approved in time, asked for too late: %v", err)
		}
		start(t, g)
		if err := poll(g, lost); !errors.Is(err, devicegrant.ErrExpired) {
			t.Errorf("soon after its end: %v", err)
		}
		if err := poll(g, lost); !errors.Is(err, devicegrant.ErrUnknown) {
			t.Errorf("told twice: %v", err)
		}
	})
}

func TestADeniedProgramIsToldSo(t *testing.T) {
	t.Parallel()
	l := &log{}
	g := devicegrant.New(time.Now, l)
	issued := start(t, g)
	if err := g.Deny(t.Context(), here, owner(), issued.UserCode); err != nil {
		t.Fatal(err)
	}
	if err := g.Approve(t.Context(), here, owner(), issued.UserCode); errs.KindOf(err) != wire.NotFound {
		t.Errorf("approved after it was denied: %v", err)
	}
	if err := poll(g, issued); !errors.Is(err, devicegrant.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if err := poll(g, issued); !errors.Is(err, devicegrant.ErrUnknown) {
		t.Errorf("told twice: %v", err)
	}
	if len(l.entries) != 1 || l.entries[0].Action != audit.LoginDeny {
		t.Errorf("recorded %+v", l.entries)
	}
}

func TestOfManyDecisionsAtOnceOneIsTakenAndRecorded(t *testing.T) {
	t.Parallel()
	l := &log{}
	g := devicegrant.New(time.Now, l)
	issued := start(t, g)
	var mu sync.Mutex
	var taken int
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			decide := g.Approve
			if i%2 == 0 {
				decide = g.Deny
			}
			if err := decide(t.Context(), here, owner(), issued.UserCode); err == nil {
				mu.Lock()
				defer mu.Unlock()
				taken++
			}
		})
	}
	wait.Wait()
	approved := poll(g, issued) == nil
	if taken != 1 || len(l.entries) != 1 || approved != (l.entries[0].Action == audit.LoginApprove) {
		t.Errorf("%d taken, approved %t, recorded %+v", taken, approved, l.entries)
	}
}

func TestOnlyAFreshLoginOfAUserApproves(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*account.Principal){
		"nobody":            func(p *account.Principal) { *p = account.Principal{} },
		"a first factor":    func(p *account.Principal) { p.Level, p.FactorAt = account.AAL1, time.Time{} },
		"an API key":        func(p *account.Principal) { p.Proof = account.ProofAPIKey },
		"a stale login":     func(p *account.Principal) { p.FactorAt = time.Now().Add(-account.FreshFor) },
		"a login to come":   func(p *account.Principal) { p.FactorAt = time.Now().Add(time.Hour) },
		"a key with scopes": func(p *account.Principal) { p.Proof, p.Scopes = account.ProofAPIKey, []wire.Flag{account.AllScopes} },
	} {
		g := devicegrant.New(time.Now, &log{})
		issued := start(t, g)
		p := owner()
		change(&p)
		if err := g.Approve(t.Context(), here, p, issued.UserCode); errs.KindOf(err) != wire.Denied {
			t.Errorf("%s: %v", name, err)
		}
		if err := poll(g, issued); !errors.Is(err, devicegrant.ErrPending) {
			t.Errorf("%s: approved all the same: %v", name, err)
		}
	}
}

func TestWhatIsNotRecordedIsNotApproved(t *testing.T) {
	t.Parallel()
	l := &log{broken: true}
	g := devicegrant.New(time.Now, l)
	issued := start(t, g)
	if err := g.Approve(t.Context(), here, owner(), issued.UserCode); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
	if err := poll(g, issued); !errors.Is(err, devicegrant.ErrPending) {
		t.Errorf("got %v", err)
	}
	l.broken = false
	if err := g.Approve(t.Context(), here, owner(), issued.UserCode); err != nil {
		t.Errorf("it cannot be approved later: %v", err)
	}
}

func TestGuessingCodesIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := devicegrant.New(time.Now, &log{})
		issued := start(t, g)
		guesser, other := owner(), owner()
		guesser.Key = 8
		for range 10 {
			if _, err := g.Describe(guesser, "BCDF-GHJK"); errs.KindOf(err) != wire.NotFound {
				t.Fatalf("got %v", err)
			}
		}
		if err := g.Approve(t.Context(), here, guesser, issued.UserCode); errs.KindOf(err) != wire.Exhausted {
			t.Errorf("a guesser goes on: %v", err)
		}
		if _, err := g.Describe(other, issued.UserCode); err != nil {
			t.Errorf("others are locked out: %v", err)
		}
		time.Sleep(15 * time.Minute)
		fresh := start(t, g)
		if _, err := g.Describe(guesser, fresh.UserCode); err != nil {
			t.Errorf("for ever: %v", err)
		}
	})
}

func TestOneNetworkDoesNotFillTheMemory(t *testing.T) {
	t.Parallel()
	g := devicegrant.New(time.Now, &log{})
	from := func(address string) error {
		_, err := g.Start(devicegrant.From{Address: address})
		return err
	}
	for i := range 20 {
		if err := from("2001:db8::" + string(rune('1'+i%9))); err != nil {
			t.Fatal(err)
		}
	}
	if err := from("2001:db8::ffff"); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("another address of the network: %v", err)
	}
	if err := from("2001:db8:0:1::1"); err != nil {
		t.Errorf("another network: %v", err)
	}
}

// An honest program waits among very many that nobody will approve.
func TestFewNetworksDoNotFillTheMemoryForAll(t *testing.T) {
	t.Parallel()
	g := devicegrant.New(time.Now, &log{})
	from := func(address string) error {
		_, err := g.Start(devicegrant.From{Address: address})
		return err
	}
	waiting := 0
	for i := range 20_000 { // each of a network of 64 bits of its own, all of which one customer may have
		if from(fmt.Sprintf("2001:db8:7:%x::1", i)) == nil {
			waiting++
		}
	}
	if waiting != 200 {
		t.Errorf("%d wait for one customer", waiting)
	}
	for i := range 1000 * 20 {
		if from(fmt.Sprintf("10.0.%d.%d", i/20/250, i/20%250)) == nil {
			waiting++
		}
	}
	if waiting > 7500 {
		t.Errorf("%d wait for a thousand addresses and a customer", waiting)
	}
	if err := from("192.0.2.1"); err != nil {
		t.Errorf("somebody else has no room: %v", err)
	}
}

func TestWhatAProgramSaysOfItselfIsANameAndNoMore(t *testing.T) {
	t.Parallel()
	g := devicegrant.New(time.Now, &log{})
	issued, err := g.Start(devicegrant.From{Host: "a\x1b[2J\nb\u202e" + strings.Repeat("x", 1000)})
	if err != nil {
		t.Fatal(err)
	}
	asking, err := g.Describe(owner(), issued.UserCode)
	if err != nil || !strings.HasPrefix(asking.From.Host, "a[2Jbxxx") || len(asking.From.Host) > 64 {
		t.Errorf("%q, %v", asking.From.Host, err)
	}
}

func TestCodesAreEasyToReadAndUnlike(t *testing.T) {
	t.Parallel()
	g := devicegrant.New(time.Now, &log{})
	seen := map[string]bool{}
	for i := range 1000 {
		issued, err := g.Start(devicegrant.From{Address: fmt.Sprintf("10.0.%d.%d", i/100, i%100)})
		if err != nil {
			t.Fatal(err)
		}
		code := issued.UserCode
		if len(code) != 9 || code[4] != '-' || strings.Trim(code, "BCDFGHJKLMNPQRSTVWXZ-") != "" || seen[code] {
			t.Fatalf("code %q", code)
		}
		seen[code] = true
	}
}

func FuzzTypedCodes(f *testing.F) {
	g := devicegrant.New(time.Now, &log{})
	f.Add("BCDF-GHJK")
	f.Add("ſcdf ghjk")
	f.Fuzz(func(t *testing.T, text string) {
		p := owner()
		p.Key = wire.Key(len(text) + 1)
		if _, err := g.Describe(p, text); err == nil {
			t.Errorf("%q belongs to nothing", text)
		}
	})
}
