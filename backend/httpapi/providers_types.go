package httpapi

import (
	"time"

	"bulkhead/backend/account/oidc"
	"bulkhead/wire"
)

// ProviderClaims says which claims of the provider tell what.
type ProviderClaims struct {
	Name          string            `json:"name,omitempty" maxLength:"255" doc:"Absent: name"`
	Email         string            `json:"email,omitempty" maxLength:"255" doc:"Absent: email. To show; it names nobody"`
	EmailVerified string            `json:"email_verified,omitempty" maxLength:"255" doc:"Absent: email_verified"`
	Require       map[string]string `json:"require,omitempty" doc:"Claims of the ID token that must have these values"`
}

// Provider is an OpenID Connect provider with which users log in. Its client secret is not shown.
type Provider struct {
	Key            wire.Key          `json:"key"`
	ProjectKey     wire.Key          `json:"project_key,omitempty" doc:"Absent for a provider of the server"`
	Name           string            `json:"name"`
	Title          string            `json:"title" doc:"On the login page"`
	Issuer         string            `json:"issuer"`
	ClientID       string            `json:"client_id"`
	HasSecret      bool              `json:"has_secret" doc:"False for a public client"`
	Algorithms     []string          `json:"algorithms" doc:"That may sign ID tokens"`
	Scopes         []string          `json:"scopes"`
	Claims         ProviderClaims    `json:"claims"`
	ACR            map[string]string `json:"acr,omitempty" doc:"The provider's words for how it authenticated the user, and ours; with entries, one of them is demanded"`
	AMR            map[string]string `json:"amr,omitempty" doc:"The provider's words for methods, and ours; with entries, others are dropped"`
	Domains        []string          `json:"domains,omitempty" doc:"Of mail addresses whose users are sent here"`
	JustInTime     bool              `json:"just_in_time" doc:"Who is unknown becomes a user, without any privilege"`
	MaxUsers       int               `json:"max_users" doc:"That it makes so; who comes then is refused"`
	Logout         bool              `json:"logout" doc:"A logout here is a logout there"`
	Suspended      bool              `json:"suspended"`
	PrivateNetwork bool              `json:"private_network" doc:"The server may reach it at an address that is not public"`
	CA             string            `json:"ca,omitempty" doc:"The authority that is trusted for it in place of the system's, as PEM"`
	RedirectURI    string            `json:"redirect_uri" doc:"To be registered at the provider"`
	LogoutURI      string            `json:"post_logout_redirect_uri" doc:"To be registered at the provider where logout is set"`
	LoginURL       string            `json:"login_url" doc:"Where a login with it begins"`
	CreatedAt      time.Time         `json:"created_at"`
	ETag           string            `json:"etag"`
}

func (a *API) providerOf(p oidc.Provider) Provider {
	return Provider{
		Key: p.Key, ProjectKey: p.Project, Name: p.Name, Title: p.Title, Issuer: p.Issuer, ClientID: p.ClientID, HasSecret: p.HasSecret,
		Algorithms: p.Algorithms, Scopes: p.Scopes, Claims: ProviderClaims(p.Claims), ACR: p.ACR, AMR: p.AMR, Domains: p.Domains,
		JustInTime: p.JustInTime, MaxUsers: p.MaxUsers, Logout: p.Logout, Suspended: p.Suspended, PrivateNetwork: p.PrivateNetwork, CA: p.CA,
		RedirectURI: oidc.RedirectURI(a.PublicURL, p), LogoutURI: oidc.AfterLogout(a.PublicURL), LoginURL: oidc.LoginURL(a.PublicURL, p),
		CreatedAt: p.CreatedAt, ETag: etagOf(p.Revision),
	}
}

// ProviderCreate makes a provider.
type ProviderCreate struct {
	Name           string            `json:"name" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$" doc:"In the redirect URI; it never changes" example:"company"`
	Title          string            `json:"title,omitempty" maxLength:"100" doc:"Absent: the name"`
	Issuer         string            `json:"issuer" maxLength:"500" doc:"Exactly as the provider's discovery document has it" example:"https://login.example"`
	ClientID       string            `json:"client_id" maxLength:"255"`
	ClientSecret   string            `json:"client_secret,omitempty" maxLength:"1000" doc:"Absent for a public client"`
	Algorithms     []string          `json:"algorithms,omitempty" maxItems:"10" doc:"Absent: RS256 and ES256"`
	Scopes         []string          `json:"scopes,omitempty" maxItems:"50" doc:"Absent: openid, profile and email"`
	Claims         ProviderClaims    `json:"claims,omitzero"`
	ACR            map[string]string `json:"acr,omitempty"`
	AMR            map[string]string `json:"amr,omitempty"`
	Domains        []string          `json:"domains,omitempty" maxItems:"50" doc:"Set by owners of the server alone"`
	JustInTime     bool              `json:"just_in_time,omitempty"`
	MaxUsers       int               `json:"max_users,omitempty" minimum:"1" maximum:"1000000" doc:"Absent: 10,000, more than which owners of the server alone set for a project"`
	Logout         bool              `json:"logout,omitempty"`
	PrivateNetwork bool              `json:"private_network,omitempty" doc:"Set by owners of the server alone"`
	CA             string            `json:"ca,omitempty" maxLength:"65536" doc:"Set by owners of the server alone"`
}

func (c ProviderCreate) row(project wire.Key) oidc.Provider {
	return oidc.Provider{
		Project: project, Name: c.Name, Title: c.Title, Issuer: c.Issuer, ClientID: c.ClientID, Algorithms: c.Algorithms, Scopes: c.Scopes,
		Claims: oidc.ClaimMap(c.Claims), ACR: c.ACR, AMR: c.AMR, Domains: c.Domains, JustInTime: c.JustInTime, MaxUsers: c.MaxUsers, Logout: c.Logout,
		PrivateNetwork: c.PrivateNetwork, CA: c.CA,
	}
}

// ProviderUpdate changes what is set.
type ProviderUpdate struct {
	Title          *string            `json:"title,omitempty" maxLength:"100"`
	Issuer         *string            `json:"issuer,omitempty" maxLength:"500" doc:"Its users go along; set by owners of the server alone"`
	ClientID       *string            `json:"client_id,omitempty" maxLength:"255"`
	ClientSecret   *string            `json:"client_secret,omitempty" maxLength:"1000" doc:"Empty: a public client"`
	Algorithms     *[]string          `json:"algorithms,omitempty" maxItems:"10"`
	Scopes         *[]string          `json:"scopes,omitempty" maxItems:"50"`
	Claims         *ProviderClaims    `json:"claims,omitempty"`
	ACR            *map[string]string `json:"acr,omitempty"`
	AMR            *map[string]string `json:"amr,omitempty"`
	Domains        *[]string          `json:"domains,omitempty" maxItems:"50"`
	JustInTime     *bool              `json:"just_in_time,omitempty"`
	MaxUsers       *int               `json:"max_users,omitempty" minimum:"1" maximum:"1000000"`
	Logout         *bool              `json:"logout,omitempty"`
	Suspended      *bool              `json:"suspended,omitempty"`
	PrivateNetwork *bool              `json:"private_network,omitempty"`
	CA             *string            `json:"ca,omitempty" maxLength:"65536"`
}

func (u ProviderUpdate) apply(p *oidc.Provider) {
	set(&p.Title, u.Title)
	set(&p.Issuer, u.Issuer)
	set(&p.ClientID, u.ClientID)
	set(&p.Algorithms, u.Algorithms)
	set(&p.Scopes, u.Scopes)
	if u.Claims != nil {
		u.Claims.apply(&p.Claims)
	}
	set(&p.ACR, u.ACR)
	set(&p.AMR, u.AMR)
	set(&p.Domains, u.Domains)
	set(&p.JustInTime, u.JustInTime)
	set(&p.MaxUsers, u.MaxUsers)
	set(&p.Logout, u.Logout)
	set(&p.Suspended, u.Suspended)
	set(&p.PrivateNetwork, u.PrivateNetwork)
	set(&p.CA, u.CA)
}

// apply changes what is named; what else is required stays required.
func (c ProviderClaims) apply(to *oidc.ClaimMap) {
	for _, claim := range []struct {
		to    *string
		value string
	}{{&to.Name, c.Name}, {&to.Email, c.Email}, {&to.EmailVerified, c.EmailVerified}} {
		if claim.value != "" {
			*claim.to = claim.value
		}
	}
	if c.Require != nil {
		to.Require = c.Require
	}
}

// set changes what was given a new value.
func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}
