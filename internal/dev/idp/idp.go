// Package idp is the OpenID Connect provider that `bulkhead dev` brings along, for its sample users: zitadel's provider over a
// storage in memory.
//
// It promises that it knows the users and the one client that it is given and nobody else; that it answers the code flow with
// PKCE's S256 and no other, though the library knows more; that the password is asked for every login; that a login takes at
// most ten minutes, its code a minute and works once; and that it keeps nothing: what it forgets at a restart is logins that
// are under way. It starts no goroutine, and the spans that the library makes go nowhere, for nothing here exports them.
package idp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"

	"bulkhead/internal/secret"
)

// User is somebody for whom the provider vouches. Name is what one types, and the subject of tokens.
type User struct {
	Name, FullName, Email string
	Password              secret.Value
}

// Config is what a provider is made of; all of it but Hint is required.
type Config struct {
	Issuer       string // its own URL, with the path under which it is mounted
	ClientID     string
	ClientSecret secret.Value
	RedirectURI  string
	LogoutURI    string // where browsers may go after a logout
	Users        []User
	Hint         string // shown where somebody logs in
	Now          func() time.Time
}

// provider answers below the issuer's path. The embedded one decides, over our storage.
type provider struct {
	*op.Provider
	config  Config
	storage *storage
}

// New makes a provider. The handler is for the paths below the issuer's, with that prefix taken off.
func New(c Config) (http.Handler, error) {
	if c.Issuer == "" || c.ClientID == "" || c.ClientSecret.IsZero() || c.RedirectURI == "" || c.LogoutURI == "" || len(c.Users) == 0 || c.Now == nil {
		return nil, errors.New("idp: New: something is missing in Config")
	}
	s, err := newStorage(c)
	if err != nil {
		return nil, fmt.Errorf("idp: %w", err)
	}
	config := &op.Config{CodeMethodS256: true}
	_, _ = rand.Read(config.CryptoKey[:]) // it never fails (Go 1.24 and later)
	made, err := op.NewProvider(config, s, op.StaticIssuer(c.Issuer),
		op.WithIDTokenHintVerifierOpts(op.WithSupportedIDTokenHintSigningAlgorithms(string(jose.ES256))))
	if err != nil {
		return nil, fmt.Errorf("idp: %w", err)
	}
	return (&provider{Provider: made, config: c, storage: s}).routes(), nil
}

// routes has the endpoints that are needed; the library's own router would open more.
func (p *provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) { op.Keys(w, r, p.storage) })
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		mux.HandleFunc(method+" /authorize", p.authorize)
		mux.HandleFunc(method+" /logout", p.logout)
	}
	mux.HandleFunc("GET /login", p.showLogin)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /token", p.token)
	return p.guarded(mux)
}

// maxForm bounds what a browser or a client sends.
const maxForm = 64 << 10

func (p *provider) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r.WithContext(op.ContextWithIssuer(r.Context(), p.config.Issuer)))
	})
}
