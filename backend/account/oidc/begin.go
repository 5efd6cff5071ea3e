package oidc

import (
	"context"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// maxReturnTo keeps the cookie within what browsers keep.
const maxReturnTo = 1000

// LocalPath gives text where it is a path of this server, as a browser reads it, and reports whether it is. Nothing else
// may stand in a Location that comes from a request.
func LocalPath(text string) (string, bool) {
	if text == "" {
		return "/", true
	}
	u, err := url.Parse(text)
	ok := err == nil && len(text) <= maxReturnTo && text[0] == '/' && u.Scheme == "" && u.Host == "" && u.User == nil &&
		isPrintable(text) && !strings.ContainsAny(text, "\\ ") && !strings.Contains(u.Path, "\\") && isPrintable(u.Path) &&
		strings.TrimSuffix(u.Path, "/") == strings.TrimSuffix(path.Clean(u.Path), "/")
	if !ok {
		return "", false
	}
	return text, true
}

func (r *RelyingParty) row(ctx context.Context, slug string) (Sealed, error) {
	project, name, ok := parseSlug(slug)
	if !ok {
		return Sealed{}, refuse("no provider has such a name")
	}
	row, err := r.Rows.ProviderNamed(ctx, project, name)
	switch {
	case errs.KindOf(err) == wire.NotFound:
		return Sealed{}, refuse("there is no provider %s", slug)
	case err != nil:
		return Sealed{}, err
	case row.Suspended:
		return row, refuse("the provider is suspended")
	default:
		return row, nil
	}
}

func (r *RelyingParty) begin(ctx context.Context, ask Ask) (Provider, Start, error) {
	row, err := r.row(ctx, ask.Slug)
	if err != nil {
		return row.Provider, Start{}, err
	}
	returnTo, ok := LocalPath(ask.ReturnTo)
	if !ok {
		return row.Provider, Start{}, refuse("the address to return to is none of this server's")
	}
	e, err := r.known.endpoints(ctx, row)
	if err != nil {
		return row.Provider, Start{}, &outage{err}
	}
	tx := transaction{
		Provider: row.Key, State: draw(), Nonce: draw(), Verifier: oauth2.GenerateVerifier(), ReturnTo: returnTo,
		MaxAge: ask.MaxAge, Begun: r.Now().UTC(),
	}
	sealed, err := r.transactions.seal(tx)
	if err != nil {
		return row.Provider, Start{}, err
	}
	client := r.client(row.Provider, e)
	return row.Provider, Start{URL: client.AuthCodeURL(tx.State, options(row.Provider, ask, tx)...), Transaction: sealed}, nil
}

// client is us, at the provider; its secret is added where a code is traded.
func (r *RelyingParty) client(p Provider, e *endpoints) *oauth2.Config {
	endpoint := e.provider.Endpoint()
	endpoint.AuthStyle = e.style
	return &oauth2.Config{ClientID: p.ClientID, Endpoint: endpoint, RedirectURL: RedirectURI(r.PublicURL, p), Scopes: p.Scopes}
}

func options(p Provider, ask Ask, tx transaction) []oauth2.AuthCodeOption {
	list := []oauth2.AuthCodeOption{goidc.Nonce(tx.Nonce), oauth2.S256ChallengeOption(tx.Verifier)}
	if len(p.ACR) > 0 {
		list = append(list, oauth2.SetAuthURLParam("acr_values", strings.Join(slices.Sorted(maps.Keys(p.ACR)), " ")))
	}
	if tx.MaxAge > 0 {
		seconds := int64((tx.MaxAge + time.Second - 1) / time.Second)
		list = append(list, oauth2.SetAuthURLParam("max_age", strconv.FormatInt(seconds, 10)))
	}
	if ask.Hint != "" && wellFormed(ask.Hint, maxWord) {
		list = append(list, oauth2.SetAuthURLParam("login_hint", ask.Hint))
	}
	return list
}
