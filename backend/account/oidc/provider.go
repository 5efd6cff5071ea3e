package oidc

import (
	"strings"
	"time"

	"bulkhead/wire"
)

// Provider is who vouches for users: a row that an administrator has made. Its client secret is kept apart from it.
type Provider struct {
	Key     wire.Key `json:"key"`
	Project wire.Key `json:"project_key,omitempty"` // zero: the platform's
	Name    string   `json:"name"`                  // never changes, since the redirect URI has it
	Title   string   `json:"title"`                 // on the login page

	Issuer     string   `json:"issuer"`
	ClientID   string   `json:"client_id"`
	HasSecret  bool     `json:"has_secret"` // without one it is a public client
	Algorithms []string `json:"algorithms"` // that may sign ID tokens
	Scopes     []string `json:"scopes"`
	Claims     ClaimMap `json:"claims"`
	// ACR and AMR translate the provider's words into ours. Where ACR has entries, the provider is asked for one of them
	// and a token without one is refused. Where AMR has entries, other words are dropped.
	ACR map[string]string `json:"acr,omitempty"`
	AMR map[string]string `json:"amr,omitempty"`
	// Domains are those of mail addresses whose users are sent to this provider. They prove nothing.
	Domains    []string `json:"domains,omitempty"`
	JustInTime bool     `json:"just_in_time"` // who is unknown becomes a user
	MaxUsers   int      `json:"max_users"`    // that it makes so
	Logout     bool     `json:"logout"`       // a logout here is a logout there
	Suspended  bool     `json:"suspended"`

	// PrivateNetwork lets the server reach addresses that are not public; CA is a certificate authority, as PEM, that is
	// trusted for this provider in place of the system's.
	PrivateNetwork bool   `json:"private_network"`
	CA             string `json:"ca,omitempty"`

	Revision  int64     `json:"-"`
	CreatedAt time.Time `json:"created_at"`
}

// ClaimMap says which claims of the provider tell what. The subject is always sub: what could be renamed could be forged.
type ClaimMap struct {
	Name          string `json:"name"`
	Email         string `json:"email"`
	EmailVerified string `json:"email_verified"`
	// Require are claims of the ID token that must have these values, such as hd for one organisation of many.
	Require map[string]string `json:"require,omitempty"`
}

// Sealed is a provider with its client secret as it is stored.
type Sealed struct {
	Provider
	Secret []byte // nil for a public client
}

// Slug names the provider in paths. Projects choose names of their own, so theirs begin with the project's key; no name
// begins with a digit.
func (p Provider) Slug() string {
	if p.Project == 0 {
		return p.Name
	}
	return p.Project.String() + "-" + p.Name
}

// parseSlug gives the project (0: the platform) and the name.
func parseSlug(slug string) (project wire.Key, name string, ok bool) {
	if slug != "" && slug[0] >= '0' && slug[0] <= '9' {
		key, rest, found := strings.Cut(slug, "-")
		project, err := wire.ParseKey(key)
		return project, rest, found && err == nil && nameForm.MatchString(rest) && project.String() == key
	}
	return 0, slug, nameForm.MatchString(slug)
}

// context binds the sealed client secret to its row.
func (p Provider) context() string { return "provider|" + p.Key.String() + "|client_secret" }
