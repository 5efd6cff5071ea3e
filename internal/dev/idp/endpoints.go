package idp

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// scopes are what a client may ask for; others are left out of what it gets.
var scopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail}

// metadata is what a client reads first. The library's own document would name endpoints that are not open here, and has no
// word for the parameter of RFC 9207.
type metadata struct {
	oidc.DiscoveryConfiguration
	IssParameter bool `json:"authorization_response_iss_parameter_supported"`
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	issuer := p.config.Issuer
	_ = json.NewEncoder(w).Encode(metadata{IssParameter: true, DiscoveryConfiguration: oidc.DiscoveryConfiguration{ // a client that has gone needs no answer
		Issuer:                            issuer,
		AuthorizationEndpoint:             issuer + "/authorize",
		TokenEndpoint:                     issuer + "/token",
		JwksURI:                           issuer + "/keys",
		EndSessionEndpoint:                issuer + "/logout",
		ResponseTypesSupported:            []string{string(oidc.ResponseTypeCode)},
		ResponseModesSupported:            []string{string(oidc.ResponseModeQuery)},
		GrantTypesSupported:               []oidc.GrantType{oidc.GrantTypeCode},
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  []string{string(jose.ES256)},
		TokenEndpointAuthMethodsSupported: []oidc.AuthMethod{oidc.AuthMethodBasic},
		CodeChallengeMethodsSupported:     []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		ScopesSupported:                   scopes,
		ClaimsSupported:                   []string{"sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "nonce", "amr", "at_hash", "c_hash", "name", "email", "email_verified"},
	}})
}

// authorize takes a browser that the client has sent, to the login page or back.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	op.Authorize(&goingBack{ResponseWriter: w, config: p.config}, r, p)
}

var _ op.AuthorizeValidator = (*provider)(nil)

// ValidateAuthRequest adds to the library's rules what it leaves to others: openid, PKCE, and that nobody is logged in silently.
func (p *provider) ValidateAuthRequest(ctx context.Context, asked *oidc.AuthRequest, s op.Storage, hint *op.IDTokenHintVerifier) (string, error) {
	c, err := s.GetClientByClientID(ctx, asked.ClientID)
	if err != nil {
		return "", oidc.ErrInvalidRequestRedirectURI().WithDescription("This provider serves bulkhead dev alone, which did not send you here.")
	}
	subject, err := op.ValidateAuthRequestClient(ctx, asked, c, hint)
	if err != nil {
		return "", err
	}
	asked.Scopes = slices.DeleteFunc(asked.Scopes, func(scope string) bool { return !slices.Contains(scopes, scope) })
	switch {
	case !slices.Contains(asked.Scopes, oidc.ScopeOpenID):
		return "", oidc.ErrInvalidScope().WithDescription("openid is not among the scopes")
	case asked.CodeChallenge == "" || asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return "", oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	case asked.ResponseMode != "" && asked.ResponseMode != oidc.ResponseModeQuery:
		return "", oidc.ErrInvalidRequest().WithDescription("the response mode is not supported")
	case slices.Contains(asked.Prompt, oidc.PromptNone):
		return "", oidc.ErrLoginRequired()
	}
	return subject, nil
}

// token trades a code for an ID token. Who is not the client is refused before its code is looked at.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	if _, err := op.ClientBasicAuth(r, p.storage); err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="sample provider"`)
		op.RequestError(w, r, oidc.ErrInvalidClient().WithParent(err), nil)
		return
	}
	if r.PostFormValue("grant_type") != string(oidc.GrantTypeCode) {
		op.RequestError(w, r, oidc.ErrUnsupportedGrantType(), nil)
		return
	}
	op.CodeExchange(w, r, p)
}

// logout has nothing to end, for the password is asked each time; it sends the browser on to where the client may have it. A
// hint from before a restart counts as none.
func (p *provider) logout(w http.ResponseWriter, r *http.Request) {
	asked, err := op.ParseEndSessionRequest(r, p.Decoder())
	if err != nil {
		p.render(w, http.StatusBadRequest, view{Fault: "The request cannot be read."})
		return
	}
	ending, err := op.ValidateEndSessionRequest(r.Context(), asked, p)
	if err != nil && asked.IdTokenHint != "" {
		asked.IdTokenHint = ""
		ending, err = op.ValidateEndSessionRequest(r.Context(), asked, p)
	}
	if err != nil || !strings.HasPrefix(ending.RedirectURI, p.config.LogoutURI) {
		p.render(w, http.StatusOK, view{Fault: "You are logged out."})
		return
	}
	http.Redirect(w, r, ending.RedirectURI, http.StatusSeeOther)
}

// goingBack adds the issuer to what a browser takes back to the client (RFC 9207), which the library does not.
type goingBack struct {
	http.ResponseWriter
	config Config
	going  bool
}

func (g *goingBack) WriteHeader(status int) {
	if to := g.Header().Get("Location"); strings.HasPrefix(to, g.config.RedirectURI) {
		g.going = true
		g.Header().Set("Location", to+"&"+url.Values{"iss": {g.config.Issuer}}.Encode())
	}
	g.ResponseWriter.WriteHeader(status)
}

// Write leaves out the page that would link to the address without the issuer.
func (g *goingBack) Write(text []byte) (int, error) {
	if g.going {
		return len(text), nil
	}
	return g.ResponseWriter.Write(text)
}
