package account_test

import (
	"fmt"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestGuessesAtOneNameFromManyAddressesLeaveItsOwnerAlone(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	for i := range 100 {
		c := account.Client{Address: fmt.Sprintf("10.0.0.%d", i), RequestID: "x"}
		for range 6 {
			if _, err := p.try(c, "alice", "wrong password"); err == nil {
				t.Fatal("a wrong password was right")
			}
		}
	}
	p.first(far, "alice")
}

func TestWhoTriesInVainAgainAndAgainIsRefusedUnreadAndCounted(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	for i := range 5 {
		if err := p.Admit(here); err != nil {
			t.Fatalf("try %d: %v", i+1, err)
		}
		_, err := p.try(here, fmt.Sprintf("user-%d", i), "wrong password")
		kind(t, err, wire.Unauthenticated)
	}
	refusals := len(p.noted)
	for range 7 {
		if err := p.Admit(here); errs.KindOf(err) != wire.Exhausted {
			t.Errorf("not refused: %v", err)
		}
	}
	if p.unseen != 7 || len(p.noted) != refusals {
		t.Errorf("%d are counted and %d written", p.unseen, len(p.noted)-refusals)
	}
	if err := p.Admit(far); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	p.first(far, "alice")
	p.clock.Pass(5 * time.Second)
	if err := p.Admit(here); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

// The database is shut, so whatever asks it fails otherwise than by a limit.
func TestMadeUpLoginsFromOneAddressDoNotReachTheDatabase(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	for range 50 {
		_, err := p.Authenticate(t.Context(), here, account.MadeUpLogin())
		kind(t, err, wire.Unauthenticated)
	}
	if _, err := p.Authenticate(t.Context(), here, string(s.Token.Reveal())); err != nil {
		t.Errorf("somebody who is logged in behind the same address: %v", err)
	}
	p.user("bob")
	if _, err := p.Authenticate(t.Context(), here, string(p.first(here, "bob").Token.Reveal())); err != nil {
		t.Errorf("somebody who has just logged in there: %v", err)
	}
	p.database.Close()
	_, err := p.Authenticate(t.Context(), here, account.MadeUpLogin())
	kind(t, err, wire.Exhausted)
	_, err = p.Authenticate(t.Context(), far, account.MadeUpLogin())
	kind(t, err, wire.Unavailable)
}

// The database is shut, so whatever asks it fails otherwise than by a limit.
func TestCodesBeyondTheLimitDoNotReachTheDatabase(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	by := p.who(p.first(far, "alice"))
	for i := range 5 {
		_, err := p.SecondFactor(t.Context(), far, by, f.at(t, 100+int64(i)))
		kind(t, err, wire.Unauthenticated)
	}
	p.database.Close()
	_, err := p.SecondFactor(t.Context(), far, by, f.code(t))
	kind(t, err, wire.Exhausted)
	p.refusedFor("too many codes from this address")
}
