package account_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/factor"
	"bulkhead/backend/account/password"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const passphrase = "correct horse battery staple"

var quiet = slog.New(slog.DiscardHandler)

// quick derives keys at once: what it costs to guess is shown in package password.
type quick struct{}

func (quick) Derive(_ context.Context, p secret.Value, bits []byte) ([]byte, error) {
	sum := sha256.Sum256(append(slices.Clone(bits), p.Reveal()...))
	return sum[:], nil
}

var far = account.Client{Address: "198.51.100.7", Agent: "elsewhere", RequestID: "f"}

// people are logins and users over a real database, with a clock that the test moves.
type people struct {
	*account.Logins
	t        testing.TB
	users    *account.Users
	keys     *account.Keys
	database *dbtest.Database
	store    account.LoginStore
	clock    *clocktest.Clock
	sealer   *secret.Keyring
	owner    account.Principal

	mu     sync.Mutex // guards below
	ended  []string
	noted  []audit.Entry
	unseen int
}

func newPeople(t testing.TB) *people {
	t.Helper()
	keyring, err := secret.NewKeyring(bytes.Repeat([]byte{9}, 32))
	if err != nil {
		t.Fatal(err)
	}
	p := &people{t: t, database: dbtest.New(t), clock: clocktest.Start(), sealer: keyring}
	p.store = db.NewLogins(p.database.DB)
	p.Logins = p.process()
	p.keys = account.NewKeys(db.NewAPIKeys(p.database.DB), p.clock.Now, p.end)
	p.users = account.NewUsers(db.NewUsers(p.database.DB), p.Hasher, p.Logins, p.keys, p.clock.Now)
	p.owner = account.Principal{Kind: account.KindServiceAccount, Key: 1, Login: "test", Proof: account.ProofLogin, Level: account.AAL2, Owner: true}
	return p
}

// process is another server process over the same database.
func (p *people) process() *account.Logins {
	return account.NewLogins(account.LoginsConfig{
		Store: p.store, Users: db.NewUsers(p.database.DB), Sealer: p.sealer, Noter: p, Hasher: password.New(quick{}), Log: quiet,
		Now: p.clock.Now, Issuer: "Bulkhead", Ended: p.end,
	})
}

func (p *people) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, id)
}

func (p *people) hasEnded(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.ended, id)
}

// Note keeps what was refused.
func (p *people) Note(_ context.Context, e audit.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noted = append(p.noted, e)
}

// Count keeps how often somebody was refused unseen.
func (p *people) Count(e audit.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Check() != nil || e.Actor.Address == "" {
		p.t.Errorf("entry %+v: %v", e, e.Check())
	}
	p.unseen++
}

// reason is why the newest refusal was made, as the audit log has it.
func (p *people) reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.noted) == 0 {
		return ""
	}
	e := p.noted[len(p.noted)-1]
	var after struct{ Reason string }
	if err := json.Unmarshal(e.After, &after); err != nil || e.Check() != nil || e.Outcome != audit.Failed {
		p.t.Errorf("entry %+v: %v, %v", e, err, e.Check())
	}
	return after.Reason
}

func (p *people) refusedFor(reason string) {
	p.t.Helper()
	if got := p.reason(); !strings.Contains(got, reason) {
		p.t.Errorf("the log says %q, want %q", got, reason)
	}
}

func (p *people) actions() []audit.Action {
	p.t.Helper()
	entries, err := db.NewAudit(p.database.DB).Entries(p.t.Context(), audit.Query{Limit: 100})
	if err != nil {
		p.t.Fatal(err)
	}
	var actions []audit.Action
	for _, e := range entries {
		actions = append(actions, e.Action)
	}
	slices.Reverse(actions)
	return actions
}

func (p *people) user(name string) account.User {
	p.t.Helper()
	u, err := p.users.Create(p.t.Context(), p.owner, someone, account.UserRequest{Name: name, Password: secret.FromString(passphrase)})
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}

func (p *people) try(c account.Client, name, text string) (account.Session, error) {
	return p.Password(p.t.Context(), c, account.LoginBrowser, name, secret.FromString(text))
}

// first logs in with a password.
func (p *people) first(c account.Client, name string) account.Session {
	p.t.Helper()
	s, err := p.try(c, name, passphrase)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *people) who(s account.Session) account.Principal {
	p.t.Helper()
	by, err := p.Authenticate(p.t.Context(), here, string(s.Token.Reveal()))
	if err != nil {
		p.t.Fatal(err)
	}
	return by
}

// phone is somebody's authenticator.
type phone struct {
	secret factor.Secret
	clock  *clocktest.Clock
	codes  []secret.Value // for recovery
}

func (f phone) code(t testing.TB) string { return f.at(t, 0) }

func (f phone) at(t testing.TB, steps int64) string {
	t.Helper()
	code, err := f.secret.Code(factor.Step(f.clock.Now()) + steps)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrolled makes a user with a second factor, logged in with both, at the beginning of a step.
func (p *people) enrolled(name string) (account.Session, phone) {
	p.t.Helper()
	p.user(name)
	s := p.first(here, name)
	e, err := p.Enrol(p.t.Context(), here, p.who(s))
	if err != nil {
		p.t.Fatal(err)
	}
	f := phone{secret: factor.Stored(e.Secret), clock: p.clock}
	done, codes, err := p.ConfirmEnrolment(p.t.Context(), here, p.who(s), f.code(p.t))
	if err != nil {
		p.t.Fatal(err)
	}
	f.codes = codes
	p.clock.Pass(time.Minute) // the code that was just shown is used
	return done, f
}

func (p *people) dead(s account.Session) {
	p.t.Helper()
	_, err := p.Authenticate(p.t.Context(), here, string(s.Token.Reveal()))
	kind(p.t, err, wire.Unauthenticated)
}
