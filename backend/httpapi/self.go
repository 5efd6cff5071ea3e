package httpapi

import (
	"context"
	"net/http"
	"runtime"

	"bulkhead/wire"
)

// SelfPath is an operation about the caller or the server's version, which everybody may ask.
type SelfPath struct{}

func (SelfPath) target(context.Context, *API) (Target, error) { return oneself, nil }

func (a *API) registerSelf() {
	handle(a, route{method: http.MethodGet, path: "/whoami", id: "whoami", tag: "self", summary: "Tell who calls", flag: wire.Self, first: true}, a.whoami)
	handle(a, route{method: http.MethodGet, path: "/version", id: "version", tag: "self", summary: "Tell which server this is", flag: wire.Self}, a.version)
}

func (a *API) whoami(_ context.Context, c caller, _ *SelfPath) (*reply[Whoami], error) {
	return &reply[Whoami]{Body: Whoami{
		Kind: string(c.by.Kind), ID: c.by.AuthID(), Name: c.by.Name, Owner: c.by.Owner, Login: c.by.Login, Proof: string(c.by.Proof),
		Level: c.by.Level.String(), FactorAt: c.by.FactorAt, Until: c.by.Until, Scopes: c.by.Scopes,
	}}, nil
}

func (a *API) version(context.Context, caller, *SelfPath) (*reply[Version], error) {
	return &reply[Version]{Body: Version{Version: a.Version, Contract: wire.Version, Go: runtime.Version()}}, nil
}
