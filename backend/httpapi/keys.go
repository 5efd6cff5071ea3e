package httpapi

import (
	"context"
	"net/http"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func keyOf(r account.Record) APIKey {
	return APIKey{
		ID: r.ID, Name: r.Name, HolderKey: r.Holder.Key, HolderKind: string(r.Holder.Kind), Holder: r.Holder.Name, Owner: r.Holder.Owner,
		Scopes: r.Scopes, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, RevokedAt: r.RevokedAt, LastUsedAt: r.LastUsedAt,
	}
}

// Everybody sees to their own API keys; those of others, service accounts among them, are for who has platform.apikeys.
type (
	keyListInput struct {
		Page
		All bool `query:"all" doc:"Of everybody; absent: yours"`
	}
	keyCreateInput struct {
		Body   APIKeyCreate
		holder account.Holder // zero: the caller
	}
	keyInput struct {
		ID    string `path:"id" maxLength:"16" doc:"Id of an API key, the part after bhk_"`
		found account.Record
		own   bool
	}
)

func (in *keyListInput) target(context.Context, *API) (Target, error) {
	if in.All {
		return platform, nil
	}
	return oneself, nil
}

func (in *keyListInput) wants(Target) wire.Flag { return ownOr(!in.All) }

func (in *keyCreateInput) target(ctx context.Context, a *API) (Target, error) {
	if in.Body.ServiceAccount == "" {
		return oneself, nil
	}
	if !a.mayLookUp(ctx, wire.PlatformKeys) {
		return platform, nil
	}
	s, err := a.Services.Find(ctx, in.Body.ServiceAccount)
	in.holder = s.Holder()
	return platform, err
}

func (in *keyCreateInput) wants(Target) wire.Flag { return ownOr(in.Body.ServiceAccount == "") }

func (in *keyInput) target(ctx context.Context, a *API) (_ Target, err error) {
	in.found, err = a.Keys.Find(ctx, in.ID)
	if in.own = err == nil && in.found.Holder.Key == requestOf(ctx).principal.Key; in.own {
		return oneself, nil
	}
	if !a.mayLookUp(ctx, wire.PlatformKeys) {
		return platform, nil // also where there is none
	}
	return platform, err
}

func (in *keyInput) wants(Target) wire.Flag { return ownOr(in.own) }

func ownOr(own bool) wire.Flag {
	if own {
		return wire.Self
	}
	return wire.PlatformKeys
}

func (a *API) registerKeys() {
	handle(a, route{method: http.MethodGet, path: "/apikeys", id: "list-apikeys", tag: "apikeys", summary: "List API keys, also those that have ended", flag: wire.PlatformKeys}, a.listKeys)
	handle(a, route{method: http.MethodPost, path: "/apikeys", id: "create-apikey", tag: "apikeys", summary: "Create an API key; it is shown this once", flag: wire.PlatformKeys, status: http.StatusCreated}, a.createKey)
	handle(a, route{method: http.MethodDelete, path: "/apikeys/{id}", id: "revoke-apikey", tag: "apikeys", summary: "Revoke an API key", flag: wire.PlatformKeys}, a.revokeKey)
}

func (a *API) listKeys(ctx context.Context, c caller, in *keyListInput) (*reply[List[APIKey]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	if err := mayKeys(c.by); err != nil {
		return nil, err
	}
	holder := c.by.Key
	if in.All {
		holder = 0
	}
	found, err := a.Keys.List(ctx, holder, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(r account.Record) string { return r.ID },
		func(r account.Record) (APIKey, bool) { return keyOf(r), true })
	return &reply[List[APIKey]]{Body: page}, nil
}

func (a *API) createKey(ctx context.Context, c caller, in *keyCreateInput) (*reply[APIKeySecret], error) {
	if c.by.Proof == account.ProofLogin && !c.by.Fresh(a.Now()) { // also for one's own
		return nil, account.ErrStepUp
	}
	if err := mayKeys(c.by); err != nil {
		return nil, err
	}
	holder := in.holder
	if in.Body.ServiceAccount == "" {
		holder = account.Holder{Kind: c.by.Kind, Key: c.by.Key, Name: c.by.Name, Owner: c.by.Owner}
	}
	record, text, err := a.Keys.Create(ctx, c.by, c.actor, account.KeyRequest{
		Holder: holder, Name: in.Body.Name, Scopes: scopesOf(in.Body.Scopes), Life: time.Duration(in.Body.ExpiresInSeconds) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return &reply[APIKeySecret]{
		Location: location("apikeys", record.ID),
		Body:     APIKeySecret{APIKey: keyOf(record), Key: string(text.Reveal())},
	}, nil
}

// mayKeys refuses an API key that does not name the flag also what it would do with its holder's own keys: one that leaks
// must not reach the others.
func mayKeys(by account.Principal) error {
	if !by.InScope(wire.PlatformKeys) {
		return errs.E(wire.Denied, "the API key does not have the scope %s", wire.PlatformKeys)
	}
	return nil
}

func (a *API) revokeKey(ctx context.Context, c caller, in *keyInput) (*nothing, error) {
	if in.ID != c.by.Login {
		if err := mayKeys(c.by); err != nil {
			return nil, err
		}
	}
	return &nothing{}, a.Keys.Revoke(ctx, c.actor, in.ID)
}

// scopesOf gives what a key reaches: all that its holder may where nothing is chosen.
func scopesOf(chosen []wire.Flag) []wire.Flag {
	if chosen == nil {
		return []wire.Flag{account.AllScopes}
	}
	return chosen
}
