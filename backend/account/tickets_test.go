package account_test

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/clocktest"
	"bulkhead/realms"
	"bulkhead/wire"
)

var (
	alice = account.Principal{Kind: account.KindUser, Key: 1, Login: "alice", Proof: account.ProofLogin, Level: account.AAL2, Owner: true}
	bob   = account.Principal{Kind: account.KindUser, Key: 2, Login: "bob", Proof: account.ProofLogin, Level: account.AAL2}
	plant = realms.OfInstallation(1, 2, wire.Prod)
)

func issue(t testing.TB, tickets *account.Tickets, p account.Principal) string {
	t.Helper()
	text, err := tickets.Issue(p, plant)
	if err != nil {
		t.Fatal(err)
	}
	return string(text.Reveal())
}

func TestATicketOpensOneSessionInOneRealmUnderOneName(t *testing.T) {
	t.Parallel()
	tickets := account.NewTickets(time.Now)
	text := issue(t, tickets, alice)
	p, err := tickets.Redeem(plant.Name(), "1", text)
	want := realms.Principal{Role: realms.RoleConsole, AuthID: "1", Project: 1, Login: "alice", Scopes: "*"}
	if err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = tickets.Redeem(plant.Name(), "1", text)
	kind(t, err, wire.Unauthenticated)
}

func TestATicketThatWasPresentedWronglyIsGone(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct{ realm, authid string }{
		"another realm":     {realms.OfInstallation(1, 2, wire.Dev).Name(), "1"},
		"another's project": {realms.OfInstallation(9, 2, wire.Prod).Name(), "1"},
		"no realm":          {"", "1"},
		"another name":      {plant.Name(), "2"},
		"no name":           {plant.Name(), ""},
	} {
		tickets := account.NewTickets(time.Now)
		text := issue(t, tickets, alice)
		if _, err := tickets.Redeem(try.realm, try.authid, text); err == nil {
			t.Errorf("%s: it opened", name)
		}
		if _, err := tickets.Redeem(plant.Name(), "1", text); err == nil {
			t.Errorf("%s: it opened afterwards", name)
		}
	}
	tickets := account.NewTickets(time.Now)
	for _, text := range []string{"", "x", string(make([]byte, 1000))} {
		_, err := tickets.Redeem(plant.Name(), "1", text)
		kind(t, err, wire.Unauthenticated)
	}
	if p, err := tickets.Redeem("", "", ""); err == nil {
		t.Errorf("nothing opened a session as %+v", p)
	}
}

func TestATicketLivesAMinute(t *testing.T) {
	t.Parallel()
	c := clocktest.Start()
	tickets := account.NewTickets(c.Now)
	in, late := issue(t, tickets, alice), issue(t, tickets, alice)
	c.Pass(time.Minute - time.Nanosecond)
	if _, err := tickets.Redeem(plant.Name(), "1", in); err != nil {
		t.Error(err)
	}
	c.Pass(time.Nanosecond)
	_, err := tickets.Redeem(plant.Name(), "1", late)
	kind(t, err, wire.Unauthenticated)
}

func TestOfTenThousandTicketsRedeemedAtOnceEachWorksOnce(t *testing.T) {
	t.Parallel()
	tickets := account.NewTickets(time.Now)
	const holders, each = 100, 100
	var texts []string
	var owners []string
	for i := range holders {
		p := alice
		p.Key = wire.Key(i + 1)
		for range each {
			texts, owners = append(texts, issue(t, tickets, p)), append(owners, p.AuthID())
		}
	}
	opened := make([]atomic.Int32, len(texts))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range texts {
				if _, err := tickets.Redeem(plant.Name(), owners[i], texts[i]); err == nil {
					opened[i].Add(1)
				}
			}
		})
	}
	all.Wait()
	for i := range opened {
		if n := opened[i].Load(); n != 1 {
			t.Fatalf("ticket %d opened %d sessions", i, n)
		}
	}
}

func TestTicketsOfARevokedLoginAreGone(t *testing.T) {
	t.Parallel()
	tickets := account.NewTickets(time.Now)
	hers, his := issue(t, tickets, alice), issue(t, tickets, bob)
	tickets.Drop("alice")
	_, err := tickets.Redeem(plant.Name(), "1", hers)
	kind(t, err, wire.Unauthenticated)
	if _, err := tickets.Redeem(plant.Name(), "2", his); err != nil {
		t.Error(err)
	}
}

func TestASessionThatIsBeingOpenedWhileItsLoginEndsIsEndedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tickets := account.NewTickets(time.Now)
		var mu sync.Mutex // guards told
		told := 0
		ctx, stop := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() {
			tickets.Serve(ctx, func(id string) {
				tickets.Drop(id)
				mu.Lock()
				defer mu.Unlock()
				told++
			})
		})
		text := issue(t, tickets, alice)
		if _, err := tickets.Redeem(plant.Name(), "1", text); err != nil {
			t.Fatal(err)
		}
		tickets.Drop("alice") // the session is not there yet
		_, err := tickets.Issue(alice, plant)
		kind(t, err, wire.Unauthenticated)
		<-time.After(time.Second + time.Millisecond)
		synctest.Wait()
		mu.Lock()
		if told != 1 {
			t.Errorf("told %d times within a second", told)
		}
		mu.Unlock()
		<-time.After(10 * time.Minute)
		synctest.Wait()
		mu.Lock()
		if told != 2 {
			t.Errorf("told %d times in all", told)
		}
		mu.Unlock()
		issue(t, tickets, alice) // it is not remembered for ever
		stop()
		serving.Wait()
	})
}

func TestNobodyHoardsTickets(t *testing.T) {
	t.Parallel()
	c := clocktest.Start()
	tickets := account.NewTickets(c.Now)
	for range account.MaxTickets {
		issue(t, tickets, alice)
	}
	_, err := tickets.Issue(alice, plant)
	kind(t, err, wire.Exhausted)
	issue(t, tickets, bob)
	c.Pass(account.TicketLife)
	issue(t, tickets, alice)
}

func TestFewProjectsDoNotTakeTheRoomForTicketsOfAll(t *testing.T) {
	t.Parallel()
	tickets := account.NewTickets(time.Now)
	for i := range 1000 { // principals of three tenants
		of := realms.OfInstallation(wire.Key(10+i%3), 2, wire.Prod)
		for range account.MaxTickets {
			if _, err := tickets.Issue(account.Principal{Kind: account.KindUser, Key: wire.Key(100 + i), Login: "x", Proof: account.ProofLogin, Level: account.AAL2}, of); err != nil {
				kind(t, err, wire.Exhausted)
				break
			}
		}
	}
	issue(t, tickets, alice)
}

func TestUsedTicketsTakeNoRoom(t *testing.T) {
	t.Parallel()
	tickets := account.NewTickets(time.Now)
	issue(t, tickets, bob) // is not used, so that it stands before all others
	for range 3 * account.QueueLimit {
		if _, err := tickets.Redeem(plant.Name(), "1", issue(t, tickets, alice)); err != nil {
			t.Fatal(err)
		}
	}
	if n := account.Queued(tickets); n > account.QueueLimit {
		t.Errorf("%d are held", n)
	}
}

func TestATicketIsForSomebodyAndSomewhere(t *testing.T) {
	t.Parallel()
	tickets := account.NewTickets(time.Now)
	_, err := tickets.Issue(account.Principal{}, plant)
	kind(t, err, wire.Denied)
	_, err = tickets.Issue(alice, realms.Realm{})
	kind(t, err, wire.Denied)
}

func TestSessionsEndWithTheLoginThatOpenedThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		tickets := account.NewTickets(time.Now)
		short, other := alice, bob
		short.Until, other.Until = begin.Add(90*time.Second), begin.Add(time.Hour)
		var mu sync.Mutex // guards endings
		endings := map[string][]time.Duration{}
		ended := func() map[string][]time.Duration {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return maps.Clone(endings)
		}
		ctx, stop := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() {
			tickets.Serve(ctx, func(authid string) {
				mu.Lock()
				defer mu.Unlock()
				endings[authid] = append(endings[authid], time.Since(begin))
			})
		})
		for _, p := range []account.Principal{short, other} {
			if _, err := tickets.Redeem(plant.Name(), p.AuthID(), issue(t, tickets, p)); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(89*time.Second + time.Millisecond)
		late := issue(t, tickets, short)
		if ended := ended(); len(ended) > 0 {
			t.Errorf("ended early: %v", ended)
		}
		<-time.After(2 * time.Second)
		if ended := ended(); len(ended["alice"]) != 1 || ended["alice"][0] > 91*time.Second {
			t.Errorf("ended %v", ended)
		}
		_, err := tickets.Redeem(plant.Name(), "1", late)
		kind(t, err, wire.Unauthenticated)
		<-time.After(10 * time.Minute)
		if ended := ended(); len(ended["alice"]) != 2 || len(ended) != 1 {
			t.Errorf("ended %v", ended)
		}
		stop()
		serving.Wait()
	})
}
