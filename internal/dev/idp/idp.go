// Package idp is the OpenID Connect provider that `bulkhead dev` brings along, for its sample users.
//
// It promises that it knows the users and the one client that it is given and nobody else; that a login takes at most ten
// minutes, its code a minute and works once, with the client's secret and PKCE's verifier; and that it keeps nothing: what
// it forgets at a restart is logins that are under way.
package idp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"

	"bulkhead/internal/secret"
)

// User is somebody for whom the provider vouches. Name is what one types, and the subject of tokens.
type User struct {
	Name, FullName, Email string
	Password              secret.Value
}

// Config is what a provider is made of; all of it is required.
type Config struct {
	Issuer       string // its own URL, with the path under which it is mounted
	ClientID     string
	ClientSecret secret.Value
	RedirectURI  string
	LogoutURI    string // where browsers may go after a logout
	Users        []User
	Now          func() time.Time
}

// provider answers below the issuer's path.
type provider struct {
	Config
	key    jose.JSONWebKey
	signer jose.Signer
	trips  *trips
}

// New makes a provider. The handler is for the paths below the issuer's, with that prefix taken off.
func New(c Config) (http.Handler, error) {
	if c.Issuer == "" || c.ClientID == "" || c.ClientSecret.IsZero() || c.RedirectURI == "" || len(c.Users) == 0 || c.Now == nil {
		return nil, errors.New("idp: New: something is missing in Config")
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("idp: %w", err)
	}
	id := rand.Text()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: id}}, nil)
	if err != nil {
		return nil, fmt.Errorf("idp: %w", err)
	}
	p := &provider{Config: c, signer: signer, trips: newTrips(c.Now)}
	p.key = jose.JSONWebKey{Key: private.Public(), KeyID: id, Algorithm: string(jose.ES256), Use: "sig"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("GET /login", p.showLogin)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /logout", p.logout)
	return guarded(mux), nil
}

// maxForm bounds what a browser or a client sends.
const maxForm = 64 << 10

func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                         p.Issuer,
		"authorization_endpoint":                         p.Issuer + "/authorize",
		"token_endpoint":                                 p.Issuer + "/token",
		"jwks_uri":                                       p.Issuer + "/keys",
		"end_session_endpoint":                           p.Issuer + "/logout",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{string(jose.ES256)},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic"},
		"code_challenge_methods_supported":               []string{"S256"},
		"scopes_supported":                               []string{"openid", "profile", "email"},
		"claims_supported":                               []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "amr", "name", "email", "email_verified"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (p *provider) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key}})
}
