package account_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestAKeyOpensUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	record, key := s.create(t)
	p, err := s.Authenticate(t.Context(), here, key)
	if err != nil || p.Login != record.ID || !p.Owner || p.Key != record.Holder.Key || p.Kind != account.KindServiceAccount {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := s.Revoke(t.Context(), someone, record.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.Authenticate(t.Context(), here, key)
	kind(t, err, wire.Unauthenticated)
	if len(s.ended) != 1 || s.ended[0] != record.ID {
		t.Errorf("told of %v", s.ended)
	}
	if err := s.Revoke(t.Context(), someone, record.ID); err != nil {
		t.Errorf("twice: %v", err)
	}
	kind(t, s.Revoke(t.Context(), someone, "aaaaaaaaaaaaaaaa"), wire.NotFound)
}

func TestAnotherProcessForgetsARevokedKeyWithinASecond(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	other := s.process()
	record, key := s.create(t)
	if _, err := other.Authenticate(t.Context(), here, key); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), someone, record.ID); err != nil {
		t.Fatal(err)
	}
	s.clock.Pass(time.Second)
	_, err := other.Authenticate(t.Context(), here, key)
	kind(t, err, wire.Unauthenticated)
}

func TestAKeyEndsAtItsTimeAlsoWhileItIsRemembered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, text, err := s.Create(t.Context(), s.root, someone, s.wish("short", time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Pass(time.Minute - time.Millisecond)
	if _, err := s.Authenticate(t.Context(), here, string(text.Reveal())); err != nil {
		t.Error(err)
	}
	s.clock.Pass(time.Millisecond)
	_, err = s.Authenticate(t.Context(), here, string(text.Reveal()))
	kind(t, err, wire.Unauthenticated)
}

func TestAnUnknownKeyAndAWrongOneGetTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	record, key := s.create(t)
	stranger := account.NewAPIKey()
	_, unknown := s.Authenticate(t.Context(), here, string(stranger.Text().Reveal()))
	_, wrong := s.Authenticate(t.Context(), here, withID(t, stranger, record.ID))
	if unknown == nil || wrong == nil || unknown.Error() != wrong.Error() {
		t.Errorf("%v and %v", unknown, wrong)
	}
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

// withID gives a key of another id with this one's secret: what somebody tries who knows ids from a list.
func withID(t *testing.T, k account.APIKey, id string) string {
	t.Helper()
	k.ID = id
	return string(k.Text().Reveal())
}

func TestKeysAreCheckedWithOneLookUpASecond(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, key := s.create(t)
	s.store.hold = make(chan struct{})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := s.Authenticate(t.Context(), here, key); err != nil {
				t.Error(err)
			}
		})
	}
	close(s.store.hold)
	all.Wait()
	if n := s.store.asked.Load(); n != 1 {
		t.Errorf("%d look-ups for 50 requests at once", n)
	}
	s.clock.Pass(time.Second)
	if _, err := s.Authenticate(t.Context(), here, key); err != nil || s.store.asked.Load() != 2 {
		t.Errorf("a second later: %d look-ups, %v", s.store.asked.Load(), err)
	}
}

func TestADatabaseThatIsDownRefusesAndIsNotRemembered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, key := s.create(t)
	s.store.fail.Store(true)
	_, err := s.Authenticate(t.Context(), here, key)
	kind(t, err, wire.Unavailable)
	s.store.fail.Store(false)
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestAFloodOfMadeUpIdsNeitherGrowsNorLocksOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, key := s.create(t)
	_, late := s.create(t)
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Error(err)
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 1500 {
				from := account.Client{Address: fmt.Sprintf("192.0.2.%d", i*50+n%50)}
				_, err := s.Authenticate(t.Context(), from, string(account.NewAPIKey().Text().Reveal()))
				if kind := errs.KindOf(err); kind != wire.Unauthenticated && kind != wire.Exhausted {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := account.Remembered(s.Keys); n > account.CacheSize {
		t.Errorf("%d remembered", n)
	}
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Errorf("a key that was right before, from where the flood came: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), account.Client{Address: "198.51.100.1"}, late); err != nil {
		t.Errorf("a new key from elsewhere: %v", err)
	}
}

func TestWrongKeysFromOneAddressAreSlowedDown(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var last error
	for range 60 {
		_, last = s.Authenticate(t.Context(), here, string(account.NewAPIKey().Text().Reveal()))
	}
	kind(t, last, wire.Exhausted)
	if n := s.store.asked.Load(); n > 51 {
		t.Errorf("%d look-ups", n)
	}
	_, key := s.create(t)
	s.clock.Pass(time.Second)
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Errorf("a second later, from the same address: %v", err)
	}
}

func TestWrongKeysFromAnIPv6NetworkAreThoseOfOneAddress(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, key := s.create(t)
	from := func(form string, i int) account.Client { return account.Client{Address: fmt.Sprintf(form, i)} }
	if _, err := s.Authenticate(t.Context(), from("2001:db8::%x", 1), key); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		form       string
		tries, max int32
	}{{"2001:db8:1:2::%x", 100, 50}, {"2001:db8:2:%x::1", 1000, 500}} {
		before := s.store.asked.Load()
		for i := range int(c.tries) {
			_, _ = s.Authenticate(t.Context(), from(c.form, i), string(account.NewAPIKey().Text().Reveal()))
		}
		if n := s.store.asked.Load() - before; n > c.max {
			t.Errorf("%d of %d from %s were looked up", n, c.tries, c.form)
		}
	}
	if _, err := s.Authenticate(t.Context(), from("2001:db8:2:%x::1", 1), key); err != nil {
		t.Errorf("a key that was right before, from where the flood came: %v", err)
	}
}

func TestAKeyIsUsedAtABoundedRate(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, key := s.create(t)
	_, other := s.create(t)
	var refused int
	for range 500 {
		if _, err := s.Authenticate(t.Context(), here, key); err != nil {
			kind(t, err, wire.Exhausted)
			refused++
		}
	}
	if refused != 100 {
		t.Errorf("%d of 500 at once were refused", refused)
	}
	if _, err := s.Authenticate(t.Context(), here, other); err != nil {
		t.Errorf("another key: %v", err)
	}
	s.clock.Pass(time.Second)
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Errorf("a second later: %v", err)
	}
}

func TestTheLastUseOfAKeyIsKeptToTheMinute(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	record, key := s.create(t)
	used := func() time.Time {
		r, err := s.Find(t.Context(), record.ID)
		if err != nil {
			t.Fatal(err)
		}
		return r.LastUsedAt
	}
	for range 3 {
		if _, err := s.Authenticate(t.Context(), here, key); err != nil {
			t.Fatal(err)
		}
		s.clock.Pass(10 * time.Second)
	}
	first := used()
	s.clock.Pass(time.Minute)
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Fatal(err)
	}
	if first.IsZero() || used().Sub(first) != 90*time.Second {
		t.Errorf("used at %v, then at %v", first, used())
	}
}

func TestAKeyGivesNoScopeThatItDoesNotHave(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	q := s.wish("narrow", 0)
	q.Scopes = []wire.Flag{wire.PlatformKeys, wire.DeviceRead}
	_, text, err := s.Create(t.Context(), s.root, someone, q)
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := s.Authenticate(t.Context(), here, string(text.Reveal()))
	if err != nil || narrow.InScope(wire.DeviceWrite) || !narrow.InScope(wire.DeviceRead) || narrow.Fresh(s.clock.Now()) {
		t.Fatalf("%+v, %v", narrow, err)
	}
	for _, scopes := range [][]wire.Flag{{account.AllScopes}, {wire.DeviceWrite}, {wire.DeviceRead, wire.ProjectDelete}} {
		q.Scopes = scopes
		_, _, err := s.Create(t.Context(), narrow, someone, q)
		kind(t, err, wire.Denied)
	}
	q.Scopes = []wire.Flag{wire.DeviceRead}
	if _, _, err := s.Create(t.Context(), narrow, someone, q); err != nil {
		t.Error(err)
	}
	stranger := s.root
	stranger.Owner = false
	_, _, err = s.Create(t.Context(), stranger, someone, s.wish("as an owner", 0))
	kind(t, err, wire.Denied)
	for _, scopes := range [][]wire.Flag{nil, {}, {"device.fly"}, {""}, {"**"}} {
		q.Scopes = scopes
		_, _, err := s.Create(t.Context(), s.root, someone, q)
		kind(t, err, wire.Invalid)
	}
}

func TestACallerThatGivesUpDoesNotSpoilItForOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, key := s.create(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = s.Authenticate(ctx, here, key)
	if _, err := s.Authenticate(t.Context(), here, key); err != nil {
		t.Error(err)
	}
}

func TestKeysThatCannotBeMade(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, try := range []struct {
		name string
		life time.Duration
	}{{"", 0}, {" x", 0}, {"x ", 0}, {strings.Repeat("x", 101), 0}, {"\x1b[2Jx", 0}, {"a\u202eb", 0}, {"a\u200bb", 0}, {"x", time.Second}, {"x", -1}, {"x", 366 * 24 * time.Hour}} {
		_, _, err := s.Create(t.Context(), s.root, someone, s.wish(try.name, try.life))
		kind(t, err, wire.Invalid)
	}
	if list, err := s.List(t.Context(), 0, "", 10); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestAListOfKeysShowsNoSecret(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 3 {
		s.create(t)
	}
	first, err := s.List(t.Context(), 0, "", 2)
	if err != nil || len(first) != 2 {
		t.Fatal(first, err)
	}
	rest, err := s.List(t.Context(), 0, first[1].ID, 2)
	if err != nil || len(rest) != 1 || rest[0].ID <= first[1].ID {
		t.Errorf("%+v, %v", rest, err)
	}
	text, err := json.Marshal(append(first, rest...))
	if err != nil || strings.Contains(string(text), "ash") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestEachKeyHasOneText(t *testing.T) {
	t.Parallel()
	good := string(account.NewAPIKey().Text().Reveal())
	if _, err := account.ParseAPIKey(good); err != nil {
		t.Fatal(err)
	}
	last := good[len(good)-1]
	bad := []string{
		"", "bhk_", good + "a", good[:len(good)-1], strings.ToUpper(good), " " + good, good + "\n", strings.Replace(good, "bhk", "bhx", 1),
		strings.Replace(good, "_", "-", 1), good[:len(good)-1] + string("ab"[map[bool]int{true: 1}[last == 'a']]),
		good[:30] + flip(good[30]) + good[31:], good[:6] + flip(good[6]) + good[7:],
	}
	for _, text := range bad {
		if _, err := account.ParseAPIKey(text); errs.KindOf(err) != wire.Unauthenticated || strings.Contains(fmt.Sprint(err), good[21:40]) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func TestAKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	k := account.NewAPIKey()
	secret := string(k.Text().Reveal())[21:73]
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprint(k.Text())} {
		if strings.Contains(text, secret) {
			t.Errorf("printed: %s", text)
		}
	}
}

func FuzzParseAPIKey(f *testing.F) {
	f.Add(string(account.NewAPIKey().Text().Reveal()))
	f.Add("bhk_aaaaaaaaaaaaaaaa_" + strings.Repeat("a", 52) + "_aaaaaaa")
	f.Add("bhk_")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := account.ParseAPIKey(text)
		if err != nil {
			if errs.KindOf(err) != wire.Unauthenticated {
				t.Errorf("kind of %v", err)
			}
			return
		}
		if string(k.Text().Reveal()) != text {
			t.Errorf("%q has a second text", text)
		}
		if again, err := account.ParseAPIKey(text); err != nil || again.Hash() != k.Hash() {
			t.Errorf("read twice: %v", err)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	s := newStage(b)
	_, key := s.create(b)
	for b.Loop() {
		s.clock.Pass(5 * time.Millisecond) // as fast as one key may be used; each second has a look-up in the database
		if _, err := s.Authenticate(b.Context(), here, key); err != nil {
			b.Fatal(err)
		}
	}
}
