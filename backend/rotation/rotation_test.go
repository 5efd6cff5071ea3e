package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/audit"
	"bulkhead/backend/rotation"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store keeps sealed values in memory.
type store struct {
	mu     sync.Mutex // guards all below
	values [][]byte
	broken error
}

func (s *store) Uses(context.Context) ([]rotation.Use, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uses := map[string]int{}
	for _, v := range s.values {
		uses[string(v[:min(len(v), 5)])]++
	}
	var list []rotation.Use
	for head, count := range uses {
		list = append(list, rotation.Use{Table: "t", Head: []byte(head), Values: count})
	}
	return list, s.broken
}

func (s *store) Rewrap(_ context.Context, _ secret.KeyID, _ int, rewrap rotation.Rewrapper, step func(rotation.Batch)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range s.values {
		anew, err := rewrap(v, "c")
		switch {
		case err != nil:
			step(rotation.Batch{Failed: 1})
		case !bytes.Equal(anew, v):
			s.values[i] = anew
			step(rotation.Batch{Done: 1})
		}
	}
	return nil
}

// source keeps keys in memory.
type source struct {
	keys   []secret.Value
	broken error
}

func (s *source) Add(key secret.Value) (*secret.Keyring, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	s.keys = append([]secret.Value{key}, s.keys...)
	return s.ring()
}

func (s *source) Drop(id secret.KeyID) (*secret.Keyring, error) {
	var kept []secret.Value
	for _, key := range s.keys {
		if one, err := secret.NewKeyring(key.Reveal()); err == nil && one.Primary() != id {
			kept = append(kept, key)
		}
	}
	s.keys = kept
	return s.ring()
}

func (s *source) ring() (*secret.Keyring, error) {
	raw := make([][]byte, len(s.keys))
	for i, key := range s.keys {
		raw[i] = key.Reveal()
	}
	return secret.NewKeyring(raw...)
}

// record is an audit log.
type record struct {
	mu      sync.Mutex // guards all below
	actions []audit.Action
	broken  error
}

func (r *record) Record(_ context.Context, e audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	r.actions = append(r.actions, e.Action)
	return e.Check()
}

type stage struct {
	*rotation.Rotation
	store  *store
	source *source
	audit  *record
	keys   *secret.Keyring
}

var by = audit.Actor{Kind: audit.User, ID: "7"}

func newStage(t *testing.T, values int) *stage {
	t.Helper()
	key, _ := secret.NewKey()
	s := &stage{store: &store{}, source: &source{keys: []secret.Value{key}}, audit: &record{}}
	var err error
	if s.keys, err = s.source.ring(); err != nil {
		t.Fatal(err)
	}
	for range values {
		sealed, err := s.keys.Seal(secret.FromString("x"), "c")
		if err != nil {
			t.Fatal(err)
		}
		s.store.values = append(s.store.values, sealed)
	}
	s.Rotation = rotation.New(rotation.Config{
		Store: s.store, Keys: s.keys, Source: s.source, Audit: s.audit, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	return s
}

func (s *stage) serve(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Serve(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

func (s *stage) list(t *testing.T) rotation.Keys {
	t.Helper()
	keys, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestEverythingIsGivenANewKeyAndTheOldOneIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 5)
		s.serve(t)
		old := s.keys.Primary().String()
		if err := s.Drop(t.Context(), by, old); errs.KindOf(err) != wire.Conflict {
			t.Errorf("dropped the key in use: %v", err)
		}
		if err := s.Rotate(t.Context(), by, true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		keys := s.list(t)
		if keys.Work != (rotation.State{Total: 5, Done: 5}) || len(keys.Keys) != 2 || keys.Keys[0].Values != 5 || keys.Keys[1].Values != 0 || keys.Keys[1].ID != old {
			t.Fatalf("got %+v", keys)
		}
		if err := s.Drop(t.Context(), by, old); errs.KindOf(err) != wire.Conflict || !strings.Contains(err.Error(), "try again in") {
			t.Errorf("dropped while requests may need it: %v", err)
		}
		time.Sleep(3 * time.Minute)
		if err := s.Drop(t.Context(), by, old); err != nil {
			t.Fatal(err)
		}
		for _, v := range s.store.values {
			if _, err := s.keys.Open(v, "c"); err != nil {
				t.Error(err)
			}
		}
		if want := []audit.Action{audit.SecretsAddKey, audit.SecretsRewrap, audit.SecretsDrop}; len(s.audit.actions) != 3 || s.audit.actions[0] != want[0] || s.audit.actions[1] != want[1] || s.audit.actions[2] != want[2] {
			t.Errorf("recorded %v", s.audit.actions)
		}
	})
}

func TestWhatACrashLeftIsDoneAtTheNextStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3)
		key, _ := secret.NewKey()
		added, err := s.source.Add(key)
		if err != nil {
			t.Fatal(err)
		}
		s.keys.Become(added) // the file has the new key, and the process begins anew
		s.serve(t)
		synctest.Wait()
		if keys := s.list(t); keys.Keys[0].Values != 3 || keys.Work.Running {
			t.Errorf("got %+v", keys)
		}
	})
}

func TestARequestThatSealedWithTheOldKeyIsCaughtUpWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1)
		s.serve(t)
		late, err := s.keys.Seal(secret.FromString("late"), "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Rotate(t.Context(), by, true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.store.mu.Lock()
		s.store.values = append(s.store.values, late)
		s.store.mu.Unlock()
		old := s.list(t).Keys[1]
		if old.Values != 1 {
			t.Fatalf("got %+v", old)
		}
		if err := s.Drop(t.Context(), by, old.ID); errs.KindOf(err) != wire.Conflict {
			t.Errorf("dropped while a value needs it: %v", err)
		}
		time.Sleep(time.Minute + time.Second)
		if old := s.list(t).Keys[1]; old.Values != 0 {
			t.Errorf("got %+v", old)
		}
	})
}

func TestAValueWithoutAKeyIsShownAndTheRestIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, other := newStage(t, 2), newStage(t, 1)
		s.store.values = append(s.store.values, other.store.values[0], []byte{2})
		s.serve(t)
		if err := s.Rotate(t.Context(), by, true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		keys := s.list(t)
		if keys.Work.Failed != 2 || keys.Work.Running || keys.Keys[0].Values != 2 {
			t.Errorf("got %+v", keys)
		}
		missing := 0
		for _, k := range keys.Keys {
			if k.Missing {
				missing += k.Values
			}
		}
		if missing != 2 {
			t.Errorf("got %+v", keys)
		}
		if err := s.Drop(t.Context(), by, other.keys.Primary().String()); errs.KindOf(err) != wire.Conflict {
			t.Errorf("got %v", err)
		}
	})
}

func TestNoKeyWithoutAnEntryAndNoEntryIsLost(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	before := s.keys.Primary()
	s.audit.broken = errs.E(wire.Unavailable, "the log cannot be written")
	if err := s.Rotate(t.Context(), by, true); errs.KindOf(err) != wire.Unavailable || s.keys.Primary() != before || len(s.source.keys) != 1 {
		t.Errorf("a key came without an entry: %v", err)
	}
	s.audit.broken, s.source.broken = nil, errors.New("disk full")
	if err := s.Rotate(t.Context(), by, true); errs.KindOf(err) != wire.Unavailable || s.keys.Primary() != before {
		t.Errorf("a key is in use that is not kept: %v", err)
	}
}

func TestKeysOfACredentialAreNotOursToChange(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.Source = nil
	if err := s.Rotate(t.Context(), by, true); errs.KindOf(err) != wire.Conflict || !strings.Contains(errs.UserText(err), "credential") {
		t.Errorf("got %v", err)
	}
	if err := s.Rotate(t.Context(), by, false); err != nil {
		t.Errorf("got %v", err)
	}
	if err := s.Drop(t.Context(), by, "not an id"); errs.KindOf(err) != wire.Invalid {
		t.Errorf("got %v", err)
	}
}
