package pages_test

import (
	"context"
	"net/url"
	"strings"
	"sync"

	"bulkhead/backend/account"
	"bulkhead/backend/account/oidc"
	"bulkhead/backend/audit"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// people plays account.Logins.
type people struct {
	*clocktest.Clock

	mu       sync.Mutex // guards all below
	sessions map[string]account.Principal
	enrolled bool
	broken   bool  // the list of logins panics
	vain     bool  // too many tries came to nothing
	stale    bool  // the first factor was shown too long ago
	fault    error // of every question
	ended    []string
	made     int
}

func newPeople() *people {
	return &people{Clock: clocktest.Start(), sessions: map[string]account.Principal{}, enrolled: true}
}

// session is called with mu held.
func (p *people) session(level account.Level) account.Session {
	p.made++
	token := string(secret.Random().Reveal())
	by := account.Principal{
		Kind: account.KindUser, Key: 7, Name: "Olga <Owner>", Login: "login-" + token[:8], Proof: account.ProofLogin, Level: level,
	}
	if level == account.AAL2 {
		by.FactorAt = p.Now()
	}
	p.sessions[token] = by
	return account.Session{Token: secret.FromString(token), Login: account.Login{ID: by.Login, User: by.Key, Kind: account.LoginBrowser, Level: level}}
}

// replace is called with mu held.
func (p *people) replace(by account.Principal, level account.Level) account.Session {
	for token, known := range p.sessions {
		if known.Login == by.Login {
			delete(p.sessions, token)
		}
	}
	return p.session(level)
}

func (p *people) Admit(account.Client) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.vain {
		return errs.E(wire.Exhausted, "too many tries from here: wait 5 seconds, or try from elsewhere")
	}
	return nil
}

func (p *people) Password(_ context.Context, _ account.Client, _ account.LoginKind, name string, password secret.Value) (account.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.fault != nil:
		return account.Session{}, p.fault
	case name != "olga" || string(password.Reveal()) != rightPassword:
		return account.Session{}, errs.E(wire.Unauthenticated, "name or password is wrong")
	}
	return p.session(account.AAL1), nil
}

func (p *people) Identified(context.Context, account.Client, account.LoginKind, account.Identity) (account.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session(account.AAL1), p.fault
}

func (p *people) Authenticate(_ context.Context, _ account.Client, token string) (account.Principal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	by, ok := p.sessions[token]
	switch {
	case p.fault != nil:
		return account.Principal{}, p.fault
	case !ok:
		return account.Principal{}, errs.E(wire.Unauthenticated, "not logged in")
	}
	return by, nil
}

func (p *people) Enrolled(context.Context, account.Principal) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.enrolled, p.fault
}

func (p *people) Enrol(context.Context, account.Client, account.Principal) (account.Enrolment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stale {
		return account.Enrolment{}, account.ErrFirstAgain
	}
	return account.Enrolment{Secret: secret.FromString("JBSWY3DPEHPK3PXP"), PNG: secret.FromString("PNG")}, nil
}

func (p *people) ConfirmEnrolment(_ context.Context, _ account.Client, by account.Principal, code string) (account.Session, []secret.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if code != rightCode {
		return account.Session{}, nil, errs.E(wire.Unauthenticated, "the code is not right")
	}
	p.enrolled = true
	return p.replace(by, account.AAL2), []secret.Value{secret.FromString(recoveryCode)}, nil
}

func (p *people) SecondFactor(_ context.Context, _ account.Client, by account.Principal, code string) (account.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if code != rightCode && code != recoveryCode {
		return account.Session{}, errs.E(wire.Unauthenticated, "the code is not right")
	}
	return p.replace(by, account.AAL2), nil
}

func (p *people) List(context.Context, account.Principal) ([]account.Login, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		panic("canary")
	}
	var list []account.Login
	for _, by := range p.sessions {
		list = append(list, account.Login{ID: by.Login, Kind: account.LoginBrowser, Level: by.Level, Agent: `"><script>`, SeenAt: p.Now(), ExpiresAt: p.Now()})
	}
	return list, nil
}

func (p *people) End(_ context.Context, _ account.Client, _ account.Principal, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, id)
	for token, by := range p.sessions {
		if by.Login == id {
			delete(p.sessions, token)
			return nil
		}
	}
	return errs.E(wire.NotFound, "no such login")
}

func (p *people) EndAll(_ context.Context, _ account.Client, _ account.Principal, but string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for token, by := range p.sessions {
		if by.Login != but {
			delete(p.sessions, token)
		}
	}
	return nil
}

func (p *people) IDToken(context.Context, account.Principal) (wire.Key, secret.Value, error) {
	return 3, secret.FromString("id-token"), nil
}

// outside plays the providers.
type outside struct {
	logout string
	fault  error
	ask    oidc.Ask
	back   string
}

func (o *outside) Choices(context.Context) ([]oidc.Choice, error) {
	return []oidc.Choice{{Slug: "sample", Title: "Sample provider"}}, nil
}

func (o *outside) ChoiceOf(_ context.Context, address string) (oidc.Choice, error) {
	if strings.HasSuffix(address, "@plant.example") {
		return oidc.Choice{Slug: "plant", Title: "Plant"}, nil
	}
	return oidc.Choice{}, errs.E(wire.NotFound, "no such provider")
}

func (o *outside) Begin(_ context.Context, _ account.Client, ask oidc.Ask) (oidc.Start, error) {
	o.ask = ask
	return oidc.Start{URL: "https://idp.example/authorize?state=x", Transaction: secret.FromString("transaction")}, o.fault
}

func (o *outside) Finish(_ context.Context, _ account.Client, slug, transaction string, query url.Values) (oidc.Proof, error) {
	if slug != "sample" || transaction != "transaction" || query.Get("code") == "" {
		return oidc.Proof{}, errs.E(wire.Unauthenticated, "this login could not be completed")
	}
	return oidc.Proof{ReturnTo: o.back}, nil
}

func (o *outside) LogoutURL(context.Context, wire.Key, secret.Value) (string, error) {
	return o.logout, o.fault
}

type record struct{}

func (record) Record(context.Context, audit.Entry) error { return nil }

// keys plays account.Keys.
type keys struct {
	mu      sync.Mutex // guards made and revoked
	made    []account.KeyRequest
	revoked []string
	fault   error
}

func (k *keys) Create(_ context.Context, _ account.Principal, _ audit.Actor, q account.KeyRequest) (account.Record, secret.Value, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fault != nil {
		return account.Record{}, secret.Value{}, k.fault
	}
	k.made = append(k.made, q)
	return account.Record{Name: q.Name}, secret.FromString("bhk_the-key"), nil
}

func (k *keys) Find(_ context.Context, id string) (account.Record, error) {
	switch id {
	case "mine":
		return account.Record{ID: id, Holder: account.Holder{Key: 7}}, nil
	case "other":
		return account.Record{ID: id, Holder: account.Holder{Key: 8}}, nil
	}
	return account.Record{}, errs.E(wire.NotFound, "no such API key")
}

func (k *keys) List(context.Context, wire.Key, string, int) ([]account.Record, error) {
	return []account.Record{{ID: "mine", Name: "exporter", Scopes: []wire.Flag{"*"}}}, nil
}

func (k *keys) Revoke(_ context.Context, _ audit.Actor, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.revoked = append(k.revoked, id)
	return nil
}

// noted plays audit.Refusals.
type noted struct {
	mu      sync.Mutex // guards entries
	entries []audit.Entry
}

func (n *noted) Note(_ context.Context, e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries = append(n.entries, e)
}
