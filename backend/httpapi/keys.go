package httpapi

import (
	"context"
	"net/http"
	"time"

	"bulkhead/backend/account"
	"bulkhead/wire"
)

func keyOf(r account.Record) APIKey {
	return APIKey{
		ID: r.ID, Name: r.Name, HolderKey: r.Holder.Key, HolderKind: string(r.Holder.Kind), Holder: r.Holder.Name, Owner: r.Holder.Owner,
		Scopes: r.Scopes, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, RevokedAt: r.RevokedAt, LastUsedAt: r.LastUsedAt,
	}
}

type (
	keyCreateInput struct {
		PlatformPath
		Body APIKeyCreate
	}
	keyInput struct {
		PlatformPath
		ID string `path:"id" maxLength:"16" doc:"Id of an API key, the part after bhk_"`
	}
)

func (a *API) registerKeys() {
	handle(a, route{method: http.MethodGet, path: "/apikeys", id: "list-apikeys", tag: "apikeys", summary: "List API keys, also those that have ended", flag: wire.PlatformKeys}, a.listKeys)
	handle(a, route{method: http.MethodPost, path: "/apikeys", id: "create-apikey", tag: "apikeys", summary: "Create an API key; it is shown this once", flag: wire.PlatformKeys, status: http.StatusCreated}, a.createKey)
	handle(a, route{method: http.MethodDelete, path: "/apikeys/{id}", id: "revoke-apikey", tag: "apikeys", summary: "Revoke an API key", flag: wire.PlatformKeys}, a.revokeKey)
}

func (a *API) listKeys(ctx context.Context, _ caller, in *listInput) (*reply[List[APIKey]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	found, err := a.Keys.List(ctx, 0, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(r account.Record) string { return r.ID },
		func(r account.Record) (APIKey, bool) { return keyOf(r), true })
	return &reply[List[APIKey]]{Body: page}, nil
}

func (a *API) createKey(ctx context.Context, c caller, in *keyCreateInput) (*reply[APIKeySecret], error) {
	record, text, err := a.Keys.Create(ctx, c.by, c.actor, account.KeyRequest{
		Holder: account.Holder{Kind: c.by.Kind, Key: c.by.Key, Name: c.by.Name, Owner: c.by.Owner},
		Name:   in.Body.Name, Scopes: scopesOf(in.Body.Scopes), Life: time.Duration(in.Body.ExpiresInSeconds) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return &reply[APIKeySecret]{
		Location: location("apikeys", record.ID),
		Body:     APIKeySecret{APIKey: keyOf(record), Key: string(text.Reveal())},
	}, nil
}

func (a *API) revokeKey(ctx context.Context, c caller, in *keyInput) (*nothing, error) {
	return &nothing{}, a.Keys.Revoke(ctx, c.actor, in.ID)
}

// scopesOf gives what a key reaches: all that its holder may where nothing is chosen.
func scopesOf(chosen []wire.Flag) []wire.Flag {
	if chosen == nil {
		return []wire.Flag{account.AllScopes}
	}
	return chosen
}
