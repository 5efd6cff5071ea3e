package idp

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// client is the server that this provider belongs to, as the library wants it described.
type client struct{ config Config }

var _ op.Client = client{}

func (c client) GetID() string                      { return c.config.ClientID }
func (c client) RedirectURIs() []string             { return []string{c.config.RedirectURI} }
func (c client) PostLogoutRedirectURIs() []string   { return []string{c.config.LogoutURI} }
func (c client) LoginURL(id string) string          { return c.config.Issuer + "/login?id=" + id }
func (client) ApplicationType() op.ApplicationType  { return op.ApplicationTypeWeb }
func (client) AuthMethod() oidc.AuthMethod          { return oidc.AuthMethodBasic }
func (client) ResponseTypes() []oidc.ResponseType   { return []oidc.ResponseType{oidc.ResponseTypeCode} }
func (client) GrantTypes() []oidc.GrantType         { return []oidc.GrantType{oidc.GrantTypeCode} }
func (client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (client) IDTokenLifetime() time.Duration       { return tokenLife }
func (client) DevMode() bool                        { return false } // it would let plain HTTP in
func (client) IsScopeAllowed(string) bool           { return false }
func (client) IDTokenUserinfoClaimsAssertion() bool { return true } // the ID token describes the user
func (client) ClockSkew() time.Duration             { return 0 }
func (client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
