// Package oidc lets users log in with OpenID Connect providers.
//
// It promises that a provider vouches for nobody but its own users, who are known by issuer and subject and never by a mail address;
// that what comes back from a provider counts once, within ten minutes, in the browser that was sent there; that a token is
// believed only for its signature by a public key of its issuer, its audience, nonce and times; that a provider which is down,
// slow or not who it says it is keeps nobody else from logging in; that the server is not made to ask its own network; and
// that whoever is refused reads one message, while the audit log has the reason.
package oidc

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// CookieName is the cookie that carries a transaction. Its prefix keeps sibling domains from setting it.
const CookieName = "__Host-bulkhead-oidc"

// TransactionLife is how long somebody may take at the provider.
const TransactionLife = 10 * time.Minute

// Rows finds providers. Errors have kind NotFound where there is none.
type Rows interface {
	Provider(ctx context.Context, key wire.Key) (Sealed, error)
	ProviderNamed(ctx context.Context, project wire.Key, name string) (Sealed, error)
	Providers(ctx context.Context, project wire.Key, after string, limit int) ([]Provider, error)
	ProviderOfDomain(ctx context.Context, domain string) (Provider, error)
}

// Sealer encrypts client secrets for storage.
type Sealer interface {
	Seal(v secret.Value, context string) ([]byte, error)
	Open(sealed []byte, context string) (secret.Value, error)
}

// Noter keeps the reasons of refusals.
type Noter interface {
	Note(ctx context.Context, e audit.Entry)
}

// Config is what a RelyingParty needs; all of it is required.
type Config struct {
	Rows      Rows
	Sealer    Sealer
	Noter     Noter
	PublicURL string // of this server, without a path
	Log       *slog.Logger
	Now       func() time.Time
}

// RelyingParty sends browsers to providers and believes what they bring back, or not. Make one with New.
type RelyingParty struct {
	Config
	known        *directory
	transactions *transactions
}

// New makes a RelyingParty.
func New(c Config) *RelyingParty {
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return &RelyingParty{Config: c, known: newDirectory(c.Now), transactions: newTransactions(c.Now)}
}

// Choice is a provider as the login page shows it.
type Choice struct {
	Slug  string // in the paths /login/oidc/{slug} and /login/oidc/{slug}/callback
	Title string
}

// Ask is what a browser is sent to a provider for.
type Ask struct {
	Slug     string
	ReturnTo string // where the browser goes on afterwards: a path of this server
	// MaxAge, where it is above zero, has the provider ask for credentials again that are older.
	MaxAge time.Duration
	// Hint is the user's name or mail address, to spare typing.
	Hint string
}

// Start is what the browser is answered: go to URL, and keep Transaction in the cookie CookieName for TransactionLife, HttpOnly,
// Secure, SameSite=Lax, on path /.
type Start struct {
	URL         string
	Transaction secret.Value
}

// Proof is what a provider vouched for. The identity's IDToken is for LogoutURL.
type Proof struct {
	Identity account.Identity
	ReturnTo string
}

// maxChoices is how many providers a login page shows.
const maxChoices = 50

// Choices lists the providers of the platform that can be chosen. Those of projects are reached by their links.
func (r *RelyingParty) Choices(ctx context.Context) ([]Choice, error) {
	rows, err := r.Rows.Providers(ctx, 0, "", maxChoices)
	if err != nil {
		return nil, errs.Wrap("oidc: choices", err)
	}
	choices := []Choice{}
	for _, p := range rows {
		if !p.Suspended {
			choices = append(choices, choiceOf(p))
		}
	}
	return choices, nil
}

func choiceOf(p Provider) Choice { return Choice{Slug: p.Slug(), Title: p.Title} }

// ChoiceOf gives the provider to which the domain of a mail address routes, or kind NotFound. It proves nothing.
func (r *RelyingParty) ChoiceOf(ctx context.Context, address string) (Choice, error) {
	_, domain, _ := strings.Cut(address, "@")
	domain = strings.ToLower(domain)
	if !domainForm.MatchString(domain) {
		return Choice{}, errs.E(wire.NotFound, "no such provider")
	}
	p, err := r.Rows.ProviderOfDomain(ctx, domain)
	if err == nil && p.Suspended {
		err = errs.E(wire.NotFound, "no such provider")
	}
	return choiceOf(p), errs.Wrap("oidc: choice", err)
}

// Begin sends a browser to a provider.
func (r *RelyingParty) Begin(ctx context.Context, from account.Client, ask Ask) (Start, error) {
	p, start, err := r.begin(ctx, ask)
	return start, r.told(ctx, from, p, err)
}

// Finish tells who came back from a provider. The query is that of the callback, the transaction what the cookie had; the
// caller deletes that cookie, whatever the answer is.
func (r *RelyingParty) Finish(ctx context.Context, from account.Client, slug, transaction string, query url.Values) (Proof, error) {
	p, proof, err := r.finish(ctx, slug, transaction, query)
	if err != nil {
		return Proof{}, r.told(ctx, from, p, err)
	}
	return proof, nil
}

// LoginURL is where a login with a provider begins.
func LoginURL(publicURL string, p Provider) string {
	return strings.TrimSuffix(publicURL, "/") + "/login/oidc/" + p.Slug()
}

// RedirectURI is where a provider sends browsers back to; it has to be told the provider.
func RedirectURI(publicURL string, p Provider) string {
	return LoginURL(publicURL, p) + "/callback"
}

// AfterLogout is where a provider sends browsers after a logout; it has to be told the provider.
func AfterLogout(publicURL string) string { return strings.TrimSuffix(publicURL, "/") + "/login" }

// maxHint is how long a token may be that goes into a URL; servers refuse longer ones.
const maxHint = 4096

// LogoutURL is where a browser goes after its logout here, so that it is logged out at the provider too; empty where the
// provider's row does not want that or the provider has no such page.
func (r *RelyingParty) LogoutURL(ctx context.Context, provider wire.Key, idToken secret.Value) (string, error) {
	row, err := r.Rows.Provider(ctx, provider)
	if err != nil || !row.Logout || row.Suspended {
		return "", errs.Wrap("oidc: logout", err)
	}
	e, err := r.known.endpoints(ctx, row)
	if err != nil || !isEndpoint(e.metadata.EndSession) {
		return "", errs.Wrap("oidc: logout", err)
	}
	u, err := url.Parse(e.metadata.EndSession)
	if err != nil {
		return "", errs.Wrap("oidc: logout", err)
	}
	query := u.Query()
	query.Set("client_id", row.ClientID)
	query.Set("post_logout_redirect_uri", AfterLogout(r.PublicURL))
	if size := len(idToken.Reveal()); size > 0 && size <= maxHint {
		query.Set("id_token_hint", string(idToken.Reveal()))
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
