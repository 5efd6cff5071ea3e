package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
)

// Limits of what a provider answers. A signature is as long as its key, and to check one by a key of a million bits takes
// minutes.
const (
	maxCode  = 4096
	maxToken = 32 << 10
)

// finish decides whether to believe. The browser, the query and the provider's answers may all be an attacker's; what is
// ours is the sealed transaction, the row, and what is fetched from the issuer's own endpoints.
func (r *RelyingParty) finish(ctx context.Context, slug, cookie string, query url.Values) (Provider, Proof, error) {
	row, err := r.row(ctx, slug)
	if err != nil {
		return row.Provider, Proof{}, err
	}
	tx, err := r.transaction(row.Provider, cookie, query)
	if err != nil {
		return row.Provider, Proof{}, err
	}
	e, err := r.known.endpoints(ctx, row)
	if err != nil {
		return row.Provider, Proof{}, &outage{err}
	}
	code, err := codeOf(row.Provider, e, query)
	if err != nil {
		return row.Provider, Proof{}, err
	}
	token, raw, err := r.exchange(ctx, row, e, tx, code)
	if err != nil {
		return row.Provider, Proof{}, err
	}
	identity, err := r.identify(ctx, row.Provider, e, tx, token, raw)
	if err != nil {
		return row.Provider, Proof{}, err
	}
	identity.IDToken = secret.FromString(raw)
	return row.Provider, Proof{Identity: identity, ReturnTo: tx.ReturnTo}, nil
}

// transaction takes the transaction that the browser and the query agree on. A wrong state leaves it unused: others can
// have the browser come here with any query.
func (r *RelyingParty) transaction(p Provider, cookie string, query url.Values) (transaction, error) {
	tx, err := r.transactions.open(cookie)
	if err != nil {
		return transaction{}, err
	}
	if tx.Provider != p.Key {
		return transaction{}, refuse("the transaction was begun with another provider")
	}
	state, ok := single(query, "state")
	if !ok || subtle.ConstantTimeCompare([]byte(state), []byte(tx.State)) != 1 {
		return transaction{}, refuse("the state is not that of the transaction")
	}
	return tx, r.transactions.use(tx)
}

// codeOf reads the provider's answer. Its issuer is checked first: an answer of another provider says nothing.
func codeOf(p Provider, e *endpoints, query url.Values) (string, error) {
	if _, given := query["iss"]; given || e.metadata.SendsIssuer {
		if issuer, ok := single(query, "iss"); !ok || issuer != p.Issuer {
			return "", refuse("the answer names another issuer, or none")
		}
	}
	if _, given := query["error"]; given {
		return "", refuse("the provider refused: %s", clip(query.Get("error")))
	}
	code, ok := single(query, "code")
	if !ok || code == "" || len(code) > maxCode {
		return "", refuse("the answer has no code")
	}
	return code, nil
}

// single gives the value of a parameter that stands in a query once.
func single(query url.Values, name string) (string, bool) {
	values := query[name]
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// exchange trades the code for tokens.
func (r *RelyingParty) exchange(ctx context.Context, row Sealed, e *endpoints, tx transaction, code string) (*oauth2.Token, string, error) {
	client := r.client(row.Provider, e)
	if row.Secret != nil {
		value, err := r.Sealer.Open(row.Secret, row.context())
		if err != nil {
			return nil, "", errs.Wrap("oidc: client secret", err)
		}
		client.ClientSecret = string(value.Reveal())
	}
	token, err := client.Exchange(goidc.ClientContext(ctx, e.client), code, oauth2.VerifierOption(tx.Verifier))
	if err != nil {
		return nil, "", exchangeFault(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, "", refuse("the provider gave no ID token")
	}
	if len(raw) > maxToken {
		return nil, "", refuse("the ID token has more than %d characters", maxToken)
	}
	return token, raw, nil
}

// exchangeFault tells a provider that is not well from one that does not take the code. Neither tells what else the answer had:
// codes and secrets are in it.
func exchangeFault(err error) error {
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered) && answered.Response.StatusCode >= http.StatusInternalServerError:
		return &outage{errors.New("the token endpoint answers " + http.StatusText(answered.Response.StatusCode))}
	case errors.As(err, &answered):
		return refuse("the provider does not take the code: %s", clip(answered.ErrorCode))
	}
	if fault := transportFault(err); fault != nil {
		return &outage{fault}
	}
	return refuse("the provider's answer to the code is none")
}
