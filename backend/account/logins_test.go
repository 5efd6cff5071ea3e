package account_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/account/factor"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestALoginIsRaisedByASecondFactorAndGetsAnotherToken(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	first := p.first(here, "alice")
	by := p.who(first)
	if by.Level != account.AAL1 || by.Fresh(p.clock.Now()) || by.Kind != account.KindUser || by.Name != "alice" {
		t.Fatalf("after the first factor: %+v", by)
	}
	second, err := p.SecondFactor(t.Context(), here, by, f.code(t))
	if err != nil {
		t.Fatal(err)
	}
	p.dead(first) // a session that was fixed before is worth nothing
	by = p.who(second)
	if by.Level != account.AAL2 || !by.Fresh(p.clock.Now()) || by.Login != first.Login.ID {
		t.Errorf("after the second: %+v", by)
	}
	p.clock.Pass(5 * time.Minute)
	if by = p.who(second); by.Fresh(p.clock.Now()) || by.Level != account.AAL2 {
		t.Errorf("five minutes later: %+v", by)
	}
	third, err := p.SecondFactor(t.Context(), here, by, f.code(t))
	if err != nil {
		t.Fatal(err)
	}
	p.dead(second)
	if !p.who(third).Fresh(p.clock.Now()) {
		t.Error("stepping up did not")
	}
}

func TestWrongNamePasswordAndSuspendedUserGetOneAnswer(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	gone := p.user("gone")
	if err := p.users.Suspend(t.Context(), p.owner, someone, gone); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, try := range []struct{ name, text, reason string }{
		{"nobody", passphrase, "no such user"},
		{"alice", "wrong", "wrong password"},
		{"gone", passphrase, "suspended"},
		{"'; DROP TABLE login; --", passphrase, "no such user"},
		{"", passphrase, "no such user"},
		{"alice", "", "wrong password"},
		{"alice", strings.Repeat("x", 5000), "wrong password"},
	} {
		_, err := p.try(here, try.name, try.text)
		kind(t, err, wire.Unauthenticated)
		texts = append(texts, fmt.Sprint(err)+errs.UserText(err))
		p.refusedFor(try.reason)
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%q and %q", text, texts[0])
		}
	}
	if s := p.first(far, " Alice "); p.who(s).Name != "alice" {
		t.Error("capitals and spaces around a name matter")
	}
}

func TestAGuesserWaitsAndItsVictimDoesNot(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	for range 5 {
		_, err := p.try(here, "alice", "wrong password")
		kind(t, err, wire.Unauthenticated)
	}
	_, err := p.try(here, "alice", passphrase)
	kind(t, err, wire.Exhausted)
	p.refusedFor("too many tries")
	p.first(far, "alice")
	p.clock.Pass(15 * time.Minute)
	p.first(here, "alice")
}

func TestOfFiftyGuessesAtOnceFiveAreLookedAt(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	var looked atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := p.try(here, "alice", "wrong password"); errs.KindOf(err) == wire.Unauthenticated {
				looked.Add(1)
			}
		})
	}
	all.Wait()
	if n := looked.Load(); n > 5 {
		t.Errorf("%d were looked at", n)
	}
}

func TestACodeWorksOnce(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	code := f.code(t)
	if _, err := p.SecondFactor(t.Context(), here, p.who(p.first(here, "alice")), code); err != nil {
		t.Fatal(err)
	}
	_, err := p.SecondFactor(t.Context(), far, p.who(p.first(far, "alice")), code)
	kind(t, err, wire.Unauthenticated)
	p.refusedFor("used before")
}

func TestOfFiftyWhoShowOneCodeAtOnceOneIsLetIn(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	code := f.code(t)
	var shows []func() error
	servers := []*account.Logins{p.Logins, p.process()} // over one database
	for i := range 5 {
		by := p.who(p.first(account.Client{Address: fmt.Sprintf("198.51.100.%d", i)}, "alice"))
		for j := range 10 { // each from an address of its own, as those who have phished it
			c := account.Client{Address: fmt.Sprintf("203.0.113.%d", 10*i+j)}
			shows = append(shows, func() error { _, err := servers[j%2].SecondFactor(t.Context(), c, by, code); return err })
		}
	}
	var let atomic.Int32
	var all sync.WaitGroup
	for _, show := range shows {
		all.Go(func() {
			if err := show(); err == nil {
				let.Add(1)
			} else if errs.KindOf(err) != wire.Unauthenticated {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := let.Load(); n != 1 {
		t.Errorf("%d were let in", n)
	}
}

func TestAnOlderStepAfterANewerIsRefused(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	older, newer := f.at(t, -1), f.at(t, 0)
	if _, err := p.SecondFactor(t.Context(), here, p.who(p.first(here, "alice")), newer); err != nil {
		t.Fatal(err)
	}
	_, err := p.SecondFactor(t.Context(), here, p.who(p.first(here, "alice")), older)
	kind(t, err, wire.Unauthenticated)
	p.refusedFor("used before")
}

func TestClocksMayBeOneStepWrong(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	for _, steps := range []int64{-3, -2, 2, 3} {
		_, err := p.SecondFactor(t.Context(), account.Client{Address: fmt.Sprintf("198.51.100.%d", 10+steps)}, p.who(p.first(here, "alice")), f.at(t, steps))
		kind(t, err, wire.Unauthenticated)
	}
	for _, steps := range []int64{-1, 0, 1} {
		if _, err := p.SecondFactor(t.Context(), here, p.who(p.first(here, "alice")), f.at(t, steps)); err != nil {
			t.Errorf("%d: %v", steps, err)
		}
	}
}

func TestACodeIsSixASCIIDigits(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	code := f.code(t)
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	by := p.who(p.first(here, "alice"))
	for i, text := range []string{wide, " " + code, code + " ", code + "\n", code[:5], code + "0", code[:3] + " " + code[3:], "", "+" + code[1:], strings.Map(func(r rune) rune { return r - '0' + '٠' }, code), "1e5000"} {
		_, err := p.SecondFactor(t.Context(), account.Client{Address: fmt.Sprintf("198.51.100.%d", i)}, by, text)
		kind(t, err, wire.Unauthenticated)
		p.refusedFor("wrong code")
	}
	if _, err := p.SecondFactor(t.Context(), here, by, code); err != nil {
		t.Error(err)
	}
}

// What a hundred thousand guesses in a day come to is shown where they are counted, in package throttle.
func TestAThousandGuessesOfACodeAreNotLookedAt(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	by := p.who(p.first(here, "alice"))
	right := []string{f.at(t, -1), f.code(t), f.at(t, 1)}
	looked := 0
	for i := range 1000 {
		guess := fmt.Sprintf("%06d", i)
		if slices.Contains(right, guess) {
			continue
		}
		_, err := p.SecondFactor(t.Context(), here, by, guess)
		if err == nil {
			t.Fatalf("guess %s was right, and the codes are %v", guess, right)
		}
		if errs.KindOf(err) != wire.Exhausted {
			looked++
		}
	}
	if looked > 5 {
		t.Errorf("%d were looked at", looked)
	}
	if _, err := p.SecondFactor(t.Context(), far, p.who(p.first(far, "alice")), f.code(t)); err != nil {
		t.Errorf("the victim, from elsewhere: %v", err)
	}
}

func TestGuessesFromManyAddressesAreRefusedAndTheUserGetsIn(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, f := p.enrolled("alice") // here
	by := p.who(p.first(far, "alice"))
	looked := 0
	for i := range 300 {
		_, err := p.SecondFactor(t.Context(), account.Client{Address: fmt.Sprintf("10.0.%d.%d", i/200, i%200)}, by, f.at(t, 100+int64(i)))
		if errs.KindOf(err) == wire.Unauthenticated {
			looked++
		}
	}
	if looked > 100 {
		t.Errorf("%d of 300 were looked at", looked)
	}
	if _, err := p.SecondFactor(t.Context(), here, p.who(s), f.code(t)); err != nil {
		t.Errorf("where she has logged in before: %v", err)
	}
	if _, err := p.SecondFactor(t.Context(), far, by, string(f.codes[0].Reveal())); err != nil {
		t.Errorf("elsewhere, with a recovery code: %v", err)
	}
}

func TestARecoveryCodeWorksOnce(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	if len(f.codes) != factor.RecoveryCodes {
		t.Fatalf("%d codes", len(f.codes))
	}
	typed := strings.ToUpper(strings.ReplaceAll(string(f.codes[3].Reveal()), "-", " "))
	s, err := p.SecondFactor(t.Context(), here, p.who(p.first(here, "alice")), typed)
	if err != nil || p.who(s).Level != account.AAL2 {
		t.Fatal(err)
	}
	_, err = p.SecondFactor(t.Context(), here, p.who(p.first(here, "alice")), string(f.codes[3].Reveal()))
	kind(t, err, wire.Unauthenticated)
	if _, err = p.SecondFactor(t.Context(), here, p.who(p.first(here, "alice")), string(f.codes[4].Reveal())); err != nil {
		t.Error(err)
	}
	p.user("bob")
	_, err = p.SecondFactor(t.Context(), far, p.who(p.first(far, "bob")), string(f.codes[5].Reveal()))
	kind(t, err, wire.Unauthenticated)
	if n := strings.Count(fmt.Sprint(p.actions()), string(audit.RecoveryUse)); n != 2 {
		t.Errorf("%d entries: %v", n, p.actions())
	}
}

func TestASecondFactorIsSetUpWithAFreshFirstOneAndARightCode(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	s := p.first(here, "alice")
	_, _, err := p.ConfirmEnrolment(t.Context(), here, p.who(s), "000000")
	kind(t, err, wire.Conflict)
	e, err := p.Enrol(t.Context(), here, p.who(s))
	if err != nil || !strings.HasPrefix(string(e.PNG.Reveal()), "\x89PNG") || !strings.HasPrefix(string(e.URI.Reveal()), "otpauth://totp/") {
		t.Fatalf("%v", err)
	}
	f := phone{secret: factor.Stored(e.Secret), clock: p.clock}
	_, _, err = p.ConfirmEnrolment(t.Context(), here, p.who(s), f.at(t, 5))
	kind(t, err, wire.Unauthenticated)
	p.clock.Pass(11 * time.Minute)
	_, err = p.Enrol(t.Context(), here, p.who(s))
	kind(t, err, wire.Denied)
	_, _, err = p.ConfirmEnrolment(t.Context(), here, p.who(s), f.code(t))
	kind(t, err, wire.Conflict) // its secret has waited for too long
	if enrolled, err := p.Enrolled(t.Context(), p.who(s)); err != nil || enrolled {
		t.Errorf("%v, %v", enrolled, err)
	}
}

func TestWhoHasAFactorShowsItBeforeSettingUpAnother(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	_, f := p.enrolled("alice")
	first := p.first(here, "alice")
	_, err := p.Enrol(t.Context(), here, p.who(first))
	kind(t, err, wire.Denied)
	s, err := p.SecondFactor(t.Context(), here, p.who(first), f.code(t))
	if err != nil {
		t.Fatal(err)
	}
	other := p.first(far, "alice")
	e, err := p.Enrol(t.Context(), here, p.who(s))
	if err != nil {
		t.Fatal(err)
	}
	p.clock.Pass(30 * time.Second)
	fresh := phone{secret: factor.Stored(e.Secret), clock: p.clock}
	done, codes, err := p.ConfirmEnrolment(t.Context(), here, p.who(s), fresh.code(t))
	if err != nil || len(codes) != 10 {
		t.Fatal(err)
	}
	p.dead(s)
	p.dead(other) // nobody stays in with the factor that is gone
	p.clock.Pass(time.Minute)
	_, err = p.SecondFactor(t.Context(), here, p.who(done), f.code(t))
	kind(t, err, wire.Unauthenticated)
	_, err = p.SecondFactor(t.Context(), here, p.who(done), string(f.codes[0].Reveal()))
	kind(t, err, wire.Unauthenticated)
	if _, err = p.SecondFactor(t.Context(), here, p.who(done), fresh.code(t)); err != nil {
		t.Error(err)
	}
}

func TestOfTwoWhoSetUpAFactorForOneUserTheSecondIsRefused(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.user("alice")
	hers, thief := p.first(here, "alice"), p.first(far, "alice")
	begin := func(c account.Client, s account.Session) phone {
		e, err := p.Enrol(t.Context(), c, p.who(s))
		if err != nil {
			t.Fatal(err)
		}
		return phone{secret: factor.Stored(e.Secret), clock: p.clock}
	}
	fHers, fThief := begin(here, hers), begin(far, thief)
	by := p.who(thief)
	if _, _, err := p.ConfirmEnrolment(t.Context(), here, p.who(hers), fHers.code(t)); err != nil {
		t.Fatal(err)
	}
	_, _, err := p.ConfirmEnrolment(t.Context(), far, by, fThief.code(t))
	if err == nil {
		t.Error("it took her place")
	}
	p.dead(thief)
}

func TestAnOwnerResetsALostFactor(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, f := p.enrolled("alice")
	u, err := p.users.Find(t.Context(), "alice")
	if err != nil || !u.Enrolled {
		t.Fatal(u, err)
	}
	if err := p.users.ResetFactor(t.Context(), someone, u); err != nil {
		t.Fatal(err)
	}
	p.dead(s)
	if !p.hasEnded(s.Login.ID) {
		t.Error("what the login opened was not ended")
	}
	again := p.first(here, "alice")
	_, err = p.SecondFactor(t.Context(), here, p.who(again), f.code(t))
	kind(t, err, wire.Unauthenticated)
	if _, err := p.Enrol(t.Context(), here, p.who(again)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(fmt.Sprint(p.actions()), string(audit.FactorReset)) {
		t.Errorf("no entry: %v", p.actions())
	}
	kind(t, p.users.ResetFactor(t.Context(), someone, u), wire.NotFound)
}

func TestALoginEndsWhenItIsIdleOrOld(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	cli, err := p.Approve(t.Context(), here, p.who(s), account.LoginCLI)
	if err != nil {
		t.Fatal(err)
	}
	for range 24 {
		p.clock.Pass(29 * time.Minute)
		p.who(s)
	}
	p.clock.Pass(29 * time.Minute) // 12 hours since it began
	p.dead(s)
	p.clock.Pass(-20 * time.Minute)
	p.who(cli)
	p.clock.Pass(12 * time.Hour)
	p.dead(cli)
	idle := p.first(here, "alice")
	p.clock.Pass(15 * time.Minute)
	p.dead(idle) // a first factor alone does not last
}

func TestABrowserThatIsIdleForHalfAnHourIsLoggedOut(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	p.who(s)
	p.clock.Pass(30*time.Minute - time.Second)
	p.who(s)
	p.clock.Pass(30 * time.Minute)
	p.dead(s)
}

func TestALoginThatEndsIsForgottenEverywhereWithinASecond(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	other := p.process()
	if _, err := other.Authenticate(t.Context(), here, string(s.Token.Reveal())); err != nil {
		t.Fatal(err)
	}
	by := p.who(s)
	if err := p.End(t.Context(), here, by, by.Login); err != nil {
		t.Fatal(err)
	}
	p.dead(s)
	if !p.hasEnded(by.Login) {
		t.Error("what it opened was not ended")
	}
	p.clock.Pass(time.Second)
	_, err := other.Authenticate(t.Context(), here, string(s.Token.Reveal()))
	kind(t, err, wire.Unauthenticated)
	kind(t, p.End(t.Context(), here, by, by.Login), wire.NotFound)
}

func TestNobodyEndsOrSeesTheLoginsOfOthers(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	alice, f := p.enrolled("alice")
	p.clock.Pass(0)
	bob, _ := p.enrolled("bob")
	kind(t, p.End(t.Context(), here, p.who(bob), alice.Login.ID), wire.NotFound)
	kind(t, p.EndOf(t.Context(), p.who(bob), someone, p.who(alice).Key, alice.Login.ID), wire.NotFound)
	p.who(alice)
	list, err := p.List(t.Context(), p.who(bob))
	if err != nil || len(list) != 1 || list[0].ID != bob.Login.ID {
		t.Errorf("%+v, %v", list, err)
	}
	// Who knows her password alone neither sees nor ends her other logins.
	thief := p.who(p.first(far, "alice"))
	kind(t, p.End(t.Context(), far, thief, alice.Login.ID), wire.NotFound)
	kind(t, p.EndAll(t.Context(), far, thief, ""), wire.Denied)
	if list, err = p.List(t.Context(), thief); err != nil || len(list) != 1 || list[0].ID != thief.Login {
		t.Errorf("%+v, %v", list, err)
	}
	_ = f
}

func TestASuspendedUserIsOutAtOnce(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	by := p.who(s)
	record, text, err := p.keys.Create(t.Context(), by, someone, account.KeyRequest{
		Holder: account.Holder{Kind: by.Kind, Key: by.Key, Name: by.Name}, Name: "mine", Scopes: []wire.Flag{account.AllScopes},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.keys.Authenticate(t.Context(), here, string(text.Reveal())); err != nil {
		t.Fatal(err)
	}
	u, err := p.users.Find(t.Context(), by.AuthID())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.users.Suspend(t.Context(), p.owner, someone, u); err != nil {
		t.Fatal(err)
	}
	p.dead(s)
	_, err = p.keys.Authenticate(t.Context(), here, string(text.Reveal()))
	kind(t, err, wire.Unauthenticated)
	if !p.hasEnded(by.Login) || !p.hasEnded(record.ID) {
		t.Errorf("ended %v", p.ended)
	}
	if err := p.users.Resume(t.Context(), someone, u); err != nil {
		t.Fatal(err)
	}
	p.first(here, "alice")
	self := account.Principal{Key: u.Key, Owner: true}
	kind(t, p.users.Suspend(t.Context(), self, someone, u), wire.Conflict)
}

func TestALoginOfOneUserDoesNotBecomeAnothers(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	by := p.who(s)
	bob := p.user("bob")
	by.Key = bob.Key
	_, err := p.SecondFactor(t.Context(), here, by, "000000")
	kind(t, err, wire.Unauthenticated)
	_, err = p.Approve(t.Context(), here, by, account.LoginCLI)
	kind(t, err, wire.Unauthenticated)
	key := account.Principal{Kind: account.KindUser, Key: bob.Key, Login: s.Login.ID, Proof: account.ProofAPIKey, Level: account.AAL2}
	_, err = p.Enrol(t.Context(), here, key)
	kind(t, err, wire.Denied)
}

func TestTokensThatAreNone(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	good := string(s.Token.Reveal())
	stranger := string(account.NewAPIKey().Text().Reveal())
	for _, text := range []string{
		"", "bhs_", good + "a", good[:len(good)-1], strings.ToUpper(good), " " + good, good + "\n", "bhk" + good[3:], stranger, "bhs" + stranger[3:],
		good[:21] + stranger[21:], good[:6] + flip(good[6]) + good[7:], strings.Repeat("a", 1<<16),
	} {
		_, err := p.Authenticate(t.Context(), here, text)
		kind(t, err, wire.Unauthenticated)
	}
	if _, err := p.keys.Authenticate(t.Context(), here, good); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("a login passed for an API key: %v", err)
	}
}

func TestAnApprovedProgramHasALoginOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, f := p.enrolled("alice")
	_, err := p.Approve(t.Context(), far, p.who(p.first(here, "alice")), account.LoginCLI)
	kind(t, err, wire.Denied)
	cli, err := p.Approve(t.Context(), far, p.who(s), account.LoginCLI)
	if err != nil || cli.Login.ID == s.Login.ID || cli.Login.Kind != account.LoginCLI {
		t.Fatalf("%+v, %v", cli.Login, err)
	}
	if by := p.who(cli); !by.FactorAt.Equal(s.Login.FactorAt) || by.Level != account.AAL2 {
		t.Errorf("%+v", by)
	}
	if err := p.End(t.Context(), here, p.who(s), s.Login.ID); err != nil {
		t.Fatal(err)
	}
	p.who(cli)
	if _, err := p.SecondFactor(t.Context(), far, p.who(cli), f.code(t)); err != nil {
		t.Error(err)
	}
}

func TestManyFirstFactorsDoNotPushOutWhoIsLoggedIn(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, _ := p.enrolled("alice")
	var last account.Session
	for range 32 {
		last = p.first(far, "alice")
	}
	p.who(s)
	p.who(last)
	if list, err := p.List(t.Context(), p.who(s)); err != nil || len(list) != 31 {
		t.Errorf("%d logins, %v", len(list), err)
	}
}

func TestPasswordsThatCannotBe(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	u := p.user("alice")
	for _, text := range []string{"", "short", "alice-is-my-name", strings.Repeat("x", 20), strings.Repeat("xy", 600), "with a \x00 in the middle"} {
		kind(t, p.users.SetPassword(t.Context(), p.owner, someone, u, secret.FromString(text)), wire.Invalid)
	}
	s := p.first(here, "alice")
	if err := p.users.SetPassword(t.Context(), p.owner, someone, u, secret.FromString("another long passphrase")); err != nil {
		t.Fatal(err)
	}
	p.dead(s)
	_, err := p.try(here, "alice", passphrase)
	kind(t, err, wire.Unauthenticated)
	if _, err = p.try(here, "alice", "another long passphrase"); err != nil {
		t.Error(err)
	}
}

func TestNothingOfALoginIsStoredInTheClear(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s, f := p.enrolled("alice")
	canaries := []string{passphrase, string(s.Token.Reveal())[21:73], string(f.secret.Text().Reveal()), strings.ReplaceAll(string(f.codes[0].Reveal()), "-", "")}
	pool := p.database.Pool()
	rows, err := pool.Query(t.Context(), `SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'bulkhead' AND table_type = 'BASE TABLE'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 10 {
		t.Fatal(tables, err)
	}
	for _, table := range tables {
		var all string
		if err := pool.QueryRow(t.Context(), `SELECT COALESCE(string_agg(t::text, E'\n'), '') FROM bulkhead.`+table+` t`).Scan(&all); err != nil {
			t.Fatal(err)
		}
		for i, canary := range canaries {
			if strings.Contains(all, canary) || strings.Contains(all, hex.EncodeToString([]byte(canary))) {
				t.Errorf("canary %d is in table %s", i, table)
			}
		}
	}
}
