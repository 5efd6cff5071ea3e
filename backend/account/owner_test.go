package account_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestANewServerWritesItsOwnersKeyOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(t.TempDir(), "owner.key")
	if err := s.EnsureOwner(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	key := read(t, file)
	if p, err := s.Authenticate(t.Context(), here, key); err != nil || !p.Owner {
		t.Errorf("%+v, %v", p, err)
	}
	if err := s.process().EnsureOwner(t.Context(), file); err != nil || read(t, file) != key {
		t.Errorf("the second start changed it: %v", err)
	}
	if list, _ := s.List(t.Context(), 0, "", 10); len(list) != 1 {
		t.Errorf("%d keys", len(list))
	}
}

func TestACrashBetweenFileAndRowIsRepaired(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(t.TempDir(), "owner.key")
	left := account.NewAPIKey()
	if err := os.WriteFile(file, append(left.Text().Reveal(), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureOwner(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Authenticate(t.Context(), here, string(left.Text().Reveal())); err != nil || !p.Owner {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAnOwnersKeyThatWasPutElsewhereIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(t.TempDir(), "owner.key")
	s.create(t)
	if err := s.EnsureOwner(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a second owner's key was written: %v", err)
	}
}

func TestAServerWhoseOwnersKeysHaveAllEndedMakesAnother(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(t.TempDir(), "owner.key")
	if err := s.EnsureOwner(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	first := read(t, file)
	s.clock.Pass(account.MaxLife)
	if err := s.EnsureOwner(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	second := read(t, file)
	if _, err := s.Authenticate(t.Context(), here, second); err != nil || second == first {
		t.Errorf("the same: %t, %v", second == first, err)
	}
	_, err := s.Authenticate(t.Context(), here, first)
	kind(t, err, wire.Unauthenticated)
}

func TestARevokedKeyInTheFileStaysRevoked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(t.TempDir(), "owner.key")
	if err := s.EnsureOwner(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	key := read(t, file)
	p, _ := s.Authenticate(t.Context(), here, key)
	s.create(t) // another owner
	if err := s.Revoke(t.Context(), someone, p.Login); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureOwner(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	_, err := s.Authenticate(t.Context(), here, key)
	kind(t, err, wire.Unauthenticated)
}

func TestAnOwnersKeyFileThatCannotBeIsToldAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.create(t)
	foreign := string(account.NewAPIKey().Text().Reveal())
	for name, try := range map[string]struct {
		text string
		mode os.FileMode
		want wire.Kind
	}{
		"no key":              {"hello", 0o600, wire.Invalid},
		"empty":               {"", 0o600, wire.Invalid},
		"readable by others":  {foreign, 0o644, wire.Invalid},
		"of another database": {foreign, 0o600, wire.Conflict},
	} {
		file := filepath.Join(t.TempDir(), "owner.key")
		if err := os.WriteFile(file, []byte(try.text), try.mode); err != nil {
			t.Fatal(err)
		}
		err := s.EnsureOwner(t.Context(), file)
		if errs.KindOf(err) != try.want || !strings.Contains(errs.UserText(err), file) || read(t, file) != try.text {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.Authenticate(t.Context(), here, foreign)
	kind(t, err, wire.Unauthenticated)
}

func TestServersThatStartTogetherMakeOneOwner(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	results := make(chan error)
	for range 4 {
		go func() { results <- s.process().EnsureOwner(t.Context(), filepath.Join(t.TempDir(), "owner.key")) }()
	}
	for range 4 {
		if err := <-results; err != nil && errs.KindOf(err) != wire.Conflict {
			t.Error(err)
		}
	}
	s.clock.Pass(time.Second)
	if list, err := s.List(t.Context(), 0, "", 10); err != nil || len(list) != 1 {
		t.Errorf("%d owners, %v", len(list), err)
	}
}
