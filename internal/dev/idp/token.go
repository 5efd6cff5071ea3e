package idp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

const tokenLife = 5 * time.Minute

// token trades a code for an ID token. The access token that comes with it opens nothing.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	if !p.isClient(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="sample provider"`)
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	if r.PostFormValue("grant_type") != "authorization_code" {
		answer(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
		return
	}
	found, ok := p.trips.redeem(r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	same := subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(challenge[:])), []byte(found.challenge)) == 1
	if !ok || !same || r.PostFormValue("redirect_uri") != p.RedirectURI {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	signed, err := p.idToken(found)
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]any{"error": "server_error"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "id_token": signed})
}

// isClient checks HTTP's basic authentication, whose parts are form-encoded first (RFC 6749, 2.3.1).
func (p *provider) isClient(r *http.Request) bool {
	id, password, _ := r.BasicAuth()
	id, errID := url.QueryUnescape(id)
	password, errPassword := url.QueryUnescape(password)
	return errID == nil && errPassword == nil && id == p.ClientID && subtle.ConstantTimeCompare([]byte(password), p.ClientSecret.Reveal()) == 1
}

func (p *provider) idToken(t trip) (string, error) {
	now := p.Now()
	claims := map[string]any{
		"iss": p.Issuer, "sub": t.user, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(), "auth_time": t.at.Unix(), "amr": []string{"pwd"},
	}
	if t.nonce != "" {
		claims["nonce"] = t.nonce
	}
	for _, u := range p.Users {
		if u.Name == t.user {
			claims["name"], claims["email"], claims["email_verified"] = u.FullName, u.Email, true
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := p.signer.Sign(text)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that has gone needs no answer
}
