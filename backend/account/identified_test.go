package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

var atProvider = account.Identity{Provider: 7, Issuer: "https://id.example", Subject: "42", Name: "Alice A.", Email: "alice@example.org", JustInTime: true}

func (p *people) identified(who account.Identity) (account.Session, error) {
	return p.Identified(p.t.Context(), here, account.LoginBrowser, who)
}

func TestSomebodyNewBecomesAUserWhereTheProviderMay(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	stranger := atProvider
	stranger.JustInTime = false
	_, err := p.identified(stranger)
	kind(t, err, wire.Unauthenticated)
	s, err := p.identified(atProvider)
	if err != nil {
		t.Fatal(err)
	}
	by := p.who(s)
	if by.Level != account.AAL1 || by.Owner || by.Name != "Alice A." {
		t.Errorf("%+v", by)
	}
	again, err := p.identified(stranger)
	if err != nil || p.who(again).Key != by.Key {
		t.Errorf("the second time: %v", err)
	}
}

func TestAProvidersWordOnItsOwnFactorsDoesNotRaiseALogin(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	who := atProvider
	who.ACR, who.AMR, who.AuthTime = "urn:mace:incommon:iap:gold", []string{"mfa", "hwk"}, p.clock.Now()
	s, err := p.identified(who)
	if err != nil || p.who(s).Level != account.AAL1 {
		t.Errorf("%v", err)
	}
}

func TestNobodyIsKnownByAnotherProvidersEMailAddress(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, err := p.identified(atProvider)
	if err != nil {
		t.Fatal(err)
	}
	thief := atProvider
	thief.Provider, thief.Issuer, thief.EmailVerified = 8, "https://evil.example", true
	other, err := p.identified(thief)
	if err != nil || p.who(other).Key == p.who(s).Key {
		t.Errorf("the same user by an e-mail address: %v", err)
	}
	thief.Subject, thief.JustInTime = "alice@example.org", false
	_, err = p.identified(thief)
	kind(t, err, wire.Unauthenticated)
}

func TestAProvidersOfAProjectSpeaksForItsOwnUsersAlone(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	if _, err := p.identified(atProvider); err != nil {
		t.Fatal(err)
	}
	who := atProvider // a project's administrator has configured the platform's issuer
	who.Provider, who.Project = 9, 5
	_, err := p.identified(who)
	kind(t, err, wire.Unauthenticated)
	p.refusedFor("another project")
}

// Two projects may use one issuer. Whose provider somebody comes by first, by a link that one was sent, must not matter.
func TestWhoLogsInToOneProjectFirstIsNotKeptOutOfAnother(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	if _, err := p.database.Pool().Exec(t.Context(), `INSERT INTO bulkhead.project (key, name, title, created_at) VALUES (5, 'plant-a', '', now()), (6, 'plant-b', '', now())`); err != nil {
		t.Fatal(err)
	}
	first, second := atProvider, atProvider
	first.Provider, first.Project = 9, 5
	second.Provider, second.Project = 10, 6
	lured, err := p.identified(first)
	if err != nil {
		t.Fatal(err)
	}
	own, err := p.identified(second)
	if err != nil {
		t.Fatalf("the other project's provider speaks for its users: %v", err)
	}
	if p.who(lured).Key == p.who(own).Key {
		t.Error("one project's word makes somebody the other's user")
	}
	again, err := p.identified(second)
	if err != nil || p.who(again).Key != p.who(own).Key {
		t.Errorf("the second time: %v", err)
	}
}

func TestNoProviderSpeaksForLocalAccounts(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	for _, who := range []account.Identity{
		{Provider: 7, Issuer: account.LocalIssuer, Subject: "alice", JustInTime: true},
		{Issuer: account.LocalIssuer, Subject: "alice"},
		{Provider: 7, Issuer: "https://id.example", JustInTime: true},
		{Provider: 7, Subject: "42", JustInTime: true},
		{Provider: 7, Issuer: "https://id.example", Subject: strings.Repeat("x", 256), JustInTime: true},
		{},
	} {
		_, err := p.identified(who)
		kind(t, err, wire.Unauthenticated)
	}
}

func TestANameCarriesNoControlCharacters(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	who := atProvider
	who.Name = "\x1b[2Jroot\u202egnp\n" + strings.Repeat("ü", 300)
	s, err := p.identified(who)
	if err != nil {
		t.Fatal(err)
	}
	if name := p.who(s).Name; !strings.HasPrefix(name, "[2Jrootgnpü") || len([]rune(name)) != 200 {
		t.Errorf("%q", name)
	}
}

func TestTheProvidersTokenComesBackForLogoutOnly(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	who := atProvider
	who.IDToken = secret.FromString("canary-id-token")
	s, err := p.identified(who)
	if err != nil {
		t.Fatal(err)
	}
	provider, token, err := p.IDToken(t.Context(), p.who(s))
	if err != nil || provider != 7 || string(token.Reveal()) != "canary-id-token" {
		t.Errorf("%v, %v", provider, err)
	}
	p.user("bob")
	if provider, token, err = p.IDToken(t.Context(), p.who(p.first(here, "bob"))); err != nil || provider != 0 || !token.IsZero() {
		t.Errorf("local: %v, %v", provider, err)
	}
}

// idle is a store with one login that has ended.
type idle struct {
	account.LoginStore
	reaped [][]string
}

func (i *idle) ReapLogins(context.Context, time.Time) ([]string, error) {
	if len(i.reaped) == 0 {
		return nil, errors.New("down")
	}
	ids := i.reaped[0]
	i.reaped = i.reaped[1:]
	return ids, nil
}

func TestWhatAnIdleLoginHasOpenedIsEndedWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended []string
		logins := account.NewLogins(account.LoginsConfig{
			Store: &idle{reaped: [][]string{nil, {"a", "b"}}}, Now: time.Now, Log: quiet, Ended: func(id string) { ended = append(ended, id) },
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); logins.Serve(ctx) }()
		<-time.After(2*time.Second + time.Millisecond)
		synctest.Wait()
		if len(ended) != 2 {
			t.Errorf("ended %v", ended)
		}
		stop()
		<-done
	})
}

func TestAProviderFillsTheDatabaseWithItsUsersToItsLimitOnly(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	if _, err := p.database.Pool().Exec(t.Context(), `INSERT INTO bulkhead.provider (key, name, title, issuer, client_id, algorithms, scopes, claims, acr, amr, domains,
		just_in_time, max_users, logout, suspended, private_network, ca, created_at)
		VALUES (7, 'company', 'x', 'https://id.example', 'x', '{RS256}', '{openid}', '{}', '{}', '{}', '{}', true, 3, false, false, false, '', now())`); err != nil {
		t.Fatal(err)
	}
	var came sync.WaitGroup
	var in, full atomic.Int32
	for i := range 8 {
		came.Go(func() {
			who := atProvider
			who.Subject = fmt.Sprint("s", i)
			switch _, err := p.identified(who); {
			case err == nil:
				in.Add(1)
			case errors.Is(err, account.ErrFull) && errs.KindOf(err) == wire.Denied:
				full.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	came.Wait()
	if in.Load() != 3 || full.Load() != 5 {
		t.Errorf("%d came in, %d were told that there is no room", in.Load(), full.Load())
	}
	p.refusedFor("max_users")
	var users []string
	rows, err := p.database.Pool().Query(t.Context(), `SELECT subject FROM bulkhead.app_user WHERE provider_key = 7`)
	if err == nil {
		users, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil || len(users) != 3 {
		t.Fatalf("%q, %v", users, err)
	}
	for _, subject := range users { // who is there already still comes in
		who := atProvider
		who.Subject = subject
		if _, err := p.identified(who); err != nil {
			t.Error(err)
		}
	}
	p.user("bob") // nor does a full provider keep anybody else out
	p.first(here, "bob")
}

func TestALoginKeepsTheSessionOfItsProvider(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	who := atProvider
	who.SID = "their-session"
	s, err := p.identified(who)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.store.Login(t.Context(), s.Login.ID)
	if err != nil || r.SID != "their-session" || r.Provider != 7 {
		t.Errorf("%q of %v, %v", r.SID, r.Provider, err)
	}
	p.user("bob")
	if r, err = p.store.Login(t.Context(), p.first(here, "bob").Login.ID); err != nil || r.SID != "" {
		t.Errorf("a local login: %q, %v", r.SID, err)
	}
}

// Who has a provider says who its users are, and what they are called: somebody of a project's must not come to own the platform.
func TestAProjectsUserDoesNotBecomeAnOwnerOfThePlatform(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	if _, err := p.database.Pool().Exec(t.Context(), `INSERT INTO bulkhead.project (key, name, title, created_at) VALUES (5, 'plant-a', '', now())`); err != nil {
		t.Fatal(err)
	}
	who := atProvider
	who.Provider, who.Project = 9, 5
	s, err := p.identified(who)
	if err != nil {
		t.Fatal(err)
	}
	u, err := p.users.Find(t.Context(), who.Email) // as which a project's provider may call anybody
	if err != nil || u.Key != p.who(s).Key {
		t.Fatal(u, err)
	}
	owner := account.Principal{Kind: account.KindUser, Key: wire.NewKey(), Owner: true}
	kind(t, p.users.SetOwner(t.Context(), owner, audit.Actor{Kind: audit.User, ID: owner.AuthID()}, u, true), wire.Conflict)
	if u, err = p.users.Find(t.Context(), u.Key.String()); err != nil || u.Owner {
		t.Errorf("%+v, %v", u, err)
	}
	// Nor is one of the platform's own harder to name for it.
	own, err := p.identified(atProvider)
	if err != nil {
		t.Fatal(err)
	}
	if u, err = p.users.Find(t.Context(), who.Email); err != nil || u.Key != p.who(own).Key {
		t.Errorf("the platform's user of that address: %+v, %v", u, err)
	}
}
