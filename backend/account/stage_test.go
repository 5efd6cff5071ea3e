package account_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

var here = account.Client{Address: "192.0.2.1", Agent: "test", RequestID: "r"}

var someone = audit.Actor{Kind: audit.APIKey, ID: "tester"}

// stage is keys over a real database, with a clock that the test moves.
type stage struct {
	*account.Keys
	store *counting
	clock *clocktest.Clock
	root  account.Principal // an owner by a login

	mu    sync.Mutex // guards ended
	ended []string
}

func newStage(t testing.TB) *stage {
	database := dbtest.New(t)
	s := &stage{store: &counting{KeyStore: db.NewAPIKeys(database.DB)}, clock: clocktest.Start()}
	s.Keys = s.process()
	s.root = account.Principal{
		Kind: account.KindServiceAccount, Key: wire.NewKey(), Name: "root", Login: "test", Proof: account.ProofLogin, Level: account.AAL2, Owner: true,
	}
	for _, sql := range []string{
		`INSERT INTO principal (key, kind, name, owner, created_at) VALUES ($1, 'service_account', 'root', true, now())`,
		`INSERT INTO service_account (key) VALUES ($1)`,
	} {
		if _, err := database.Pool().Exec(t.Context(), sql, s.root.Key); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// wish asks for a key of root's.
func (s *stage) wish(name string, life time.Duration) account.KeyRequest {
	return account.KeyRequest{
		Holder: account.Holder{Kind: s.root.Kind, Key: s.root.Key, Name: s.root.Name, Owner: true}, Name: name,
		Scopes: []wire.Flag{account.AllScopes}, Life: life,
	}
}

// process is another server process over the same database.
func (s *stage) process() *account.Keys {
	return account.NewKeys(s.store, s.clock.Now, func(id string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = append(s.ended, id)
	})
}

func (s *stage) create(t testing.TB) (account.Record, string) {
	t.Helper()
	r, text, err := s.Create(t.Context(), s.root, someone, s.wish("ci", 0))
	if err != nil {
		t.Fatal(err)
	}
	return r, string(text.Reveal())
}

func kind(t testing.TB, err error, want wire.Kind) {
	t.Helper()
	if got := errs.KindOf(err); got != want {
		t.Errorf("error is %q (%v), want %q", got, err, want)
	}
}

// counting is a store that counts what it is asked, and fails where it is told to.
type counting struct {
	account.KeyStore
	asked atomic.Int32
	fail  atomic.Bool
	hold  chan struct{} // look-ups wait for it where it is set
}

var errGone = errs.E(wire.Unavailable, "the database cannot be reached")

func (c *counting) APIKey(ctx context.Context, id string) (account.Record, error) {
	c.asked.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	if c.fail.Load() {
		return account.Record{}, errGone
	}
	return c.KeyStore.APIKey(ctx, id)
}
