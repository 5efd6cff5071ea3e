package dev

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/factor"
	"bulkhead/backend/account/oidc"
	"bulkhead/backend/audit"
	"bulkhead/internal/dev/idp"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/server"
	"bulkhead/wire"
)

// ProviderTitle names the sample provider on the page where people log in.
const ProviderTitle = "Sample users"

// The sample provider, as the server knows it.
const (
	providerName = "dev"
	providerPath = "/dev-idp"
	clientID     = "bulkhead"
)

// people are the sample users and the provider that vouches for them. What they log in with stands in files, so that a restart
// keeps it.
type people struct {
	dir    string
	issuer string // known when the server has its address
	client secret.Value
	drawn  bool // client is a new one
	users  []idp.User
}

var sampleUsers = []idp.User{
	{Name: "owner", FullName: "Sample owner", Email: "owner@bulkhead.example"},
	{Name: "operator", FullName: "Sample operator", Email: "operator@bulkhead.example"},
}

// newPeople reads or draws the passwords.
func newPeople(dir string) (*people, error) {
	p := &people{dir: dir}
	file, err := filepath.Join(dir, "provider.secret"), error(nil)
	p.drawn = !exists(file)
	if p.client, err = ensureSecret(file); err != nil {
		return nil, err
	}
	for _, u := range sampleUsers {
		if u.Password, err = ensureSecret(p.passwordFile(u.Name)); err != nil {
			return nil, err
		}
		p.users = append(p.users, u)
	}
	return p, nil
}

func (p *people) passwordFile(name string) string { return filepath.Join(p.dir, name+".password") }

func (p *people) factorFile(name string) string { return filepath.Join(p.dir, name+".totp") }

// ensureSecret reads a secret, or draws one that people can type.
func ensureSecret(file string) (secret.Value, error) {
	text, err := os.ReadFile(file)
	if err == nil && len(text) > 0 {
		return secret.New(text), nil
	}
	if exists(file) && err != nil {
		return secret.Value{}, errs.As(wire.Invalid, err, "%s cannot be read", file)
	}
	drawn := secret.FromString(rand.Text())
	return drawn, errs.As(wire.Invalid, secret.WriteFile(file, drawn.Reveal()), "%s cannot be written", file)
}

// mount brings the provider to the server's own port.
func (p *people) mount(public string) (map[string]http.Handler, error) {
	p.issuer = public + providerPath
	row := oidc.Provider{Name: providerName}
	provider, err := idp.New(idp.Config{
		Issuer: p.issuer, ClientID: clientID, ClientSecret: p.client, RedirectURI: oidc.RedirectURI(public, row), LogoutURI: oidc.AfterLogout(public),
		Users: p.users, Now: time.Now, Hint: fmt.Sprintf("Log in as %s or %s; their passwords are in %s, and in %s beside it.",
			p.users[0].Name, p.users[1].Name, p.passwordFile(p.users[0].Name), filepath.Base(p.passwordFile(p.users[1].Name))),
	})
	if err != nil {
		return nil, err
	}
	return map[string]http.Handler{providerPath + "/": http.StripPrefix(providerPath, provider)}, nil
}

// seed sees to it that the server knows the provider and the users, each with a second factor.
func (p *people) seed(ctx context.Context, s *server.Server) ([]ReadyUser, error) {
	row, err := p.provider(ctx, s)
	if err != nil {
		return nil, errs.Wrap("sample provider", err)
	}
	var ready []ReadyUser
	for _, u := range p.users {
		if err := p.user(ctx, s, row, u); err != nil {
			return nil, errs.Wrap("sample user "+u.Name, err)
		}
		ready = append(ready, ReadyUser{Name: u.Name, PasswordFile: p.passwordFile(u.Name), TOTPSecretFile: p.factorFile(u.Name)})
	}
	return ready, nil
}

// provider makes the row, or mends it where the port, the authority or the files are others than at the last start.
func (p *people) provider(ctx context.Context, s *server.Server) (oidc.Provider, error) {
	by := oidc.Administrator{Actor: audit.Server, Platform: func() bool { return true }}
	ca, err := os.ReadFile(s.CAFile())
	if err != nil {
		return oidc.Provider{}, err
	}
	wanted := func(row *oidc.Provider) {
		row.Issuer, row.ClientID, row.Title, row.CA, row.Algorithms = p.issuer, clientID, ProviderTitle, string(ca), []string{"ES256"}
		row.PrivateNetwork, row.Logout, row.Suspended = true, true, false
	}
	found, err := s.Providers().Find(ctx, 0, providerName)
	switch {
	case errs.KindOf(err) == wire.NotFound:
		found = oidc.Provider{Name: providerName}
		wanted(&found)
		return s.Providers().Create(ctx, by, found, p.client)
	case err != nil:
		return oidc.Provider{}, err
	}
	mended := found
	if wanted(&mended); reflect.DeepEqual(mended, found) && !p.drawn {
		return found, nil
	}
	return s.Providers().Update(ctx, by, found.Key, 0, wanted, &p.client)
}

// user makes a user with a second factor where there is none, and gives it another factor where its file is lost.
func (p *people) user(ctx context.Context, s *server.Server, row oidc.Provider, u idp.User) error {
	known, found, err := p.find(ctx, s, u.Name)
	if err != nil || found && known.Enrolled && exists(p.factorFile(u.Name)) {
		return err
	}
	if found && known.Enrolled {
		if err := s.Users().ResetFactor(ctx, audit.Server, known); err != nil {
			return err
		}
	}
	login, err := s.Logins().Identified(ctx, seeding, account.LoginBrowser, account.Identity{
		Provider: row.Key, Issuer: p.issuer, Subject: u.Name, Name: u.FullName, Email: u.Email, EmailVerified: true, JustInTime: true,
	})
	if err != nil {
		return err
	}
	if err := p.enrol(ctx, s, u.Name, login); err != nil {
		return err
	}
	if known, _, err = p.find(ctx, s, u.Name); err != nil || u.Name != sampleUsers[0].Name || known.Owner {
		return err
	}
	return s.Users().SetOwner(ctx, account.Principal{Owner: true}, audit.Server, known, true)
}

// seeding is where the seeding of samples comes from.
var seeding = account.Client{Agent: "bulkhead dev"}

func (p *people) enrol(ctx context.Context, s *server.Server, name string, login account.Session) error {
	who, err := s.Logins().Authenticate(ctx, seeding, string(login.Token.Reveal()))
	if err != nil {
		return err
	}
	enrolment, err := s.Logins().Enrol(ctx, seeding, who)
	if err != nil {
		return err
	}
	if err := secret.WriteFile(p.factorFile(name), enrolment.Secret.Reveal()); err != nil {
		return err
	}
	// The code of the step before this one, so that the code which is shown now still logs in.
	code, err := factor.Stored(enrolment.Secret).Code(factor.Step(time.Now()) - 1)
	if err != nil {
		return err
	}
	raised, _, err := s.Logins().ConfirmEnrolment(ctx, seeding, who, code)
	if err != nil {
		return err
	}
	if who, err = s.Logins().Authenticate(ctx, seeding, string(raised.Token.Reveal())); err != nil {
		return err
	}
	return s.Logins().End(ctx, seeding, who, raised.Login.ID)
}

// find looks for a user by issuer and subject.
func (p *people) find(ctx context.Context, s *server.Server, name string) (account.User, bool, error) {
	const page = 200
	for after := wire.Key(0); ; {
		users, err := s.Users().List(ctx, after, page)
		if err != nil {
			return account.User{}, false, err
		}
		for _, u := range users {
			if after = u.Key; u.Issuer == p.issuer && u.Subject == name {
				return u, true, nil
			}
		}
		if len(users) < page {
			return account.User{}, false, nil
		}
	}
}
