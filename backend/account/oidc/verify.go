package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"bulkhead/backend/account"
	"bulkhead/internal/logkey"
)

// Times that a token may be off.
const (
	issuedWithin = 10 * time.Minute
	skew         = time.Minute
)

// maxSubject is the length that OpenID Connect allows.
const maxSubject = 255

// claims is what we check and use of an ID token, beside what go-oidc checks.
type claims struct {
	AuthorizedParty string `json:"azp"`
	IssuedAt        *int64 `json:"iat"`
	AuthTime        *int64 `json:"auth_time"`
	ACR             string `json:"acr"`
	AMR             words  `json:"amr"`
	SID             string `json:"sid"`
}

// words reads a list of texts, or one text, as some providers have it.
type words []string

func (w *words) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(w))
}

// identify checks the ID token and tells whom it is about.
func (r *RelyingParty) identify(ctx context.Context, p Provider, e *endpoints, tx transaction, token *oauth2.Token, raw string) (account.Identity, error) {
	if err := plainHeader(raw, p.Algorithms); err != nil {
		return account.Identity{}, err
	}
	id, err := e.verifier.Verify(goidc.ClientContext(ctx, e.client), raw)
	if err != nil {
		return account.Identity{}, tokenFault(err)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return account.Identity{}, refuse("the ID token has claims of wrong types")
	}
	if err := r.checkClaims(p, tx, id, c); err != nil {
		return account.Identity{}, err
	}
	if id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil {
		return account.Identity{}, refuse("the ID token is not the access token's")
	}
	identity, err := identityOf(p, id, c)
	if err != nil {
		return account.Identity{}, err
	}
	return r.described(ctx, p, e, token, id, identity)
}

// plainHeader refuses tokens that bring or name keys of their own. The keys of the issuer alone count anyway; this gives
// the audit log the true reason.
func plainHeader(raw string, algorithms []string) error {
	allowed := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, a := range algorithms {
		allowed[i] = jose.SignatureAlgorithm(a)
	}
	parsed, err := jose.ParseSignedCompact(raw, allowed)
	if err != nil {
		return refuse("the ID token is malformed, or its algorithm is not among %s", strings.Join(algorithms, " "))
	}
	head := parsed.Signatures[0].Protected
	if head.JSONWebKey != nil {
		return refuse("the ID token brings a key of its own")
	}
	for name := range head.ExtraHeaders {
		switch strings.ToLower(string(name)) {
		case "jku", "x5u", "x5c", "jwk", "crit":
			return refuse("the ID token names a key of its own by %s", name)
		}
	}
	return nil
}

// tokenFault gives the reason of go-oidc, which has no part of the token but issuer, audience and times.
func tokenFault(err error) error {
	var expired *goidc.TokenExpiredError
	text := err.Error()
	switch {
	case errors.As(err, &expired):
		return refuse("the ID token has expired")
	case strings.HasPrefix(text, "failed to verify signature: fetching keys"):
		return &outage{errors.New("the provider's keys cannot be read")}
	default:
		return refuse("the ID token is not valid: %s", clip(strings.TrimPrefix(text, "oidc: ")))
	}
}

// checkClaims checks what go-oidc leaves to its callers.
func (r *RelyingParty) checkClaims(p Provider, tx transaction, id *goidc.IDToken, c claims) error {
	now := r.Now()
	switch {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(tx.Nonce)) != 1:
		return refuse("the nonce is not that of the transaction")
	case c.AuthorizedParty != "" && c.AuthorizedParty != p.ClientID, len(id.Audience) > 1 && c.AuthorizedParty == "":
		return refuse("the ID token was issued to another party, %s", clip(c.AuthorizedParty))
	case c.IssuedAt == nil || now.Sub(time.Unix(*c.IssuedAt, 0)) > issuedWithin || time.Unix(*c.IssuedAt, 0).Sub(now) > skew:
		return refuse("the ID token was not issued within the last %s", issuedWithin)
	case tx.MaxAge > 0 && c.AuthTime == nil:
		return refuse("the ID token does not say when the user was authenticated")
	case c.AuthTime != nil && time.Unix(*c.AuthTime, 0).Sub(now) > skew:
		return refuse("the user is to have been authenticated in the future")
	case tx.MaxAge > 0 && time.Unix(*c.AuthTime, 0).Before(tx.Begun.Add(-tx.MaxAge-skew)):
		return refuse("the user was authenticated longer ago than %s", tx.MaxAge)
	case len(p.ACR) > 0 && p.ACR[c.ACR] == "":
		return refuse("the provider did not authenticate the user as was asked: acr %s", clip(c.ACR))
	case id.Subject == "" || len(id.Subject) > maxSubject || !isPrintable(id.Subject):
		return refuse("the subject is not 1 to %d printable characters", maxSubject)
	}
	return r.checkRequired(p, id)
}

func (r *RelyingParty) checkRequired(p Provider, id *goidc.IDToken) error {
	if len(p.Claims.Require) == 0 {
		return nil
	}
	all := map[string]json.RawMessage{}
	if err := id.Claims(&all); err != nil {
		return refuse("the ID token has claims of wrong types")
	}
	for name, want := range p.Claims.Require {
		if textOf(all[name]) != want {
			return refuse("the claim %s is not what the provider's row requires", name)
		}
	}
	return nil
}

// identityOf maps the token. The issuer is the row's, which the token's was compared with.
func identityOf(p Provider, id *goidc.IDToken, c claims) (account.Identity, error) {
	all := map[string]json.RawMessage{}
	if err := id.Claims(&all); err != nil {
		return account.Identity{}, refuse("the ID token has claims of wrong types")
	}
	identity := account.Identity{
		Provider: p.Key, Project: p.Project, Issuer: p.Issuer, Subject: id.Subject, ACR: clip(c.ACR), AMR: translated(p.AMR, c.AMR),
		SID: clip(c.SID), JustInTime: p.JustInTime,
	}
	if len(p.ACR) > 0 {
		identity.ACR = p.ACR[c.ACR]
	}
	if c.AuthTime != nil {
		identity.AuthTime = time.Unix(*c.AuthTime, 0).UTC()
	}
	describe(&identity, p.Claims, all)
	return identity, nil
}

// translated gives our words for a provider's; without a dictionary its own.
func translated(dictionary map[string]string, theirs []string) []string {
	var ours []string
	for _, word := range theirs {
		if len(dictionary) > 0 {
			word = dictionary[word]
		}
		if word = clip(word); word != "" && !slices.Contains(ours, word) && len(ours) < maxEntries {
			ours = append(ours, word)
		}
	}
	return ours
}

// describe takes what people are called from claims. It identifies nobody.
func describe(identity *account.Identity, m ClaimMap, all map[string]json.RawMessage) {
	if identity.Name == "" {
		identity.Name = clip(textOf(all[m.Name]))
	}
	if email := clip(textOf(all[m.Email])); identity.Email == "" && strings.Count(email, "@") == 1 {
		identity.Email, identity.EmailVerified = email, textOf(all[m.EmailVerified]) == "true"
	}
}

// described asks the userinfo endpoint for name and mail address where the token has none. Without an answer the user is
// still who the token says.
func (r *RelyingParty) described(ctx context.Context, p Provider, e *endpoints, token *oauth2.Token, id *goidc.IDToken, identity account.Identity) (account.Identity, error) {
	if identity.Name != "" && identity.Email != "" || !isEndpoint(e.provider.UserInfoEndpoint()) || token.AccessToken == "" {
		return identity, nil
	}
	info, err := e.provider.UserInfo(goidc.ClientContext(ctx, e.client), oauth2.StaticTokenSource(token))
	if err != nil {
		r.Log.InfoContext(ctx, "the provider does not describe its user", logkey.Provider, p.Slug(), logkey.Reason, clip(err.Error()))
		return identity, nil
	}
	if info.Subject != id.Subject {
		return account.Identity{}, refuse("the userinfo endpoint describes another user")
	}
	all := map[string]json.RawMessage{}
	if err := info.Claims(&all); err == nil {
		describe(&identity, p.Claims, all)
	}
	return identity, nil
}

// textOf reads a claim that is a text, a number or a truth value.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	switch value := strings.TrimSpace(string(raw)); {
	case value == "true", value == "false":
		return value
	case value != "" && strings.Trim(value, "-0123456789") == "":
		return value
	}
	return ""
}
