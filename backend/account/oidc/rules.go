package oidc

import (
	"crypto/x509"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of a provider's row.
const (
	maxTitle   = 100
	maxURL     = 500
	maxWord    = 255
	maxEntries = 50
	maxSecret  = 1000
	maxCA      = 64 << 10
)

// How many users a provider makes just in time, where its row says nothing else, and at most.
const (
	DefaultMaxUsers = 10_000
	MostUsers       = 1_000_000
)

// Algorithms are those that may sign ID tokens: a public key verifies them. "none" and those with a shared secret are not
// among them, whatever a provider says.
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

var (
	defaultAlgorithms = []string{"RS256", "ES256"}
	defaultScopes     = []string{"openid", "profile", "email"}
	defaultClaims     = ClaimMap{Name: "name", Email: "email", EmailVerified: "email_verified"}

	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	scopeForm  = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,255}$`) // RFC 6749, 3.3
	domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// withDefaults fills what was left out.
func (p Provider) withDefaults() Provider {
	if p.Title == "" {
		p.Title = p.Name
	}
	if len(p.Algorithms) == 0 {
		p.Algorithms = defaultAlgorithms
	}
	if len(p.Scopes) == 0 {
		p.Scopes = defaultScopes
	}
	if p.MaxUsers == 0 {
		p.MaxUsers = DefaultMaxUsers
	}
	if p.Claims.Name == "" {
		p.Claims.Name = defaultClaims.Name
	}
	if p.Claims.Email == "" {
		p.Claims.Email = defaultClaims.Email
	}
	if p.Claims.EmailVerified == "" {
		p.Claims.EmailVerified = defaultClaims.EmailVerified
	}
	return p
}

// check says what is wrong with a row, in the words of its API.
func (p Provider) check() error {
	bad := func(field, want string, args ...any) error {
		return errs.E(wire.Invalid, field+": "+want, args...)
	}
	switch {
	case !nameForm.MatchString(p.Name):
		return bad("name", "want small letters, digits and hyphens, a letter first, at most 63")
	case !wellFormed(p.Title, maxTitle):
		return bad("title", "want 1 to %d characters without spaces around them", maxTitle)
	case !isIssuer(p.Issuer):
		return bad("issuer", "want an https URL without query and fragment, exactly as the provider's discovery document has it")
	case !wellFormed(p.ClientID, maxWord):
		return bad("client_id", "want what the provider calls this application")
	case slices.ContainsFunc(p.Algorithms, func(a string) bool { return !slices.Contains(Algorithms, a) }):
		return bad("algorithms", "want some of %s", strings.Join(Algorithms, " "))
	case !slices.Contains(p.Scopes, "openid") || len(p.Scopes) > maxEntries || slices.ContainsFunc(p.Scopes, func(s string) bool { return !scopeForm.MatchString(s) }):
		return bad("scopes", "want openid, and others that the provider knows")
	case len(p.Domains) > maxEntries || slices.ContainsFunc(p.Domains, func(d string) bool { return len(d) > 253 || !domainForm.MatchString(d) }):
		return bad("domains", "want domains such as plant.example, in small letters, at most %d", maxEntries)
	case !areWords(p.ACR), !areWords(p.AMR), !areWords(p.Claims.Require):
		return bad("acr, amr, claims.require", "want at most %d entries of 1 to %d characters", maxEntries, maxWord)
	case !wellFormed(p.Claims.Name, maxWord), !wellFormed(p.Claims.Email, maxWord), !wellFormed(p.Claims.EmailVerified, maxWord):
		return bad("claims", "want names of claims")
	case p.MaxUsers < 1 || p.MaxUsers > MostUsers:
		return bad("max_users", "want 1 to %d", MostUsers)
	case p.CA != "" && (len(p.CA) > maxCA || !x509.NewCertPool().AppendCertsFromPEM([]byte(p.CA))):
		return bad("ca", "want certificates in PEM form")
	}
	return nil
}

// needsPlatform names the first field by which a project would reach beyond itself: into our network, to other people's
// addresses, to users whom another issuer has vouched for, or for much of our database. The platform alone sets them.
func needsPlatform(before, after Provider) string {
	switch {
	case after.Project == 0:
		return ""
	case after.PrivateNetwork && !before.PrivateNetwork:
		return "private_network"
	case after.CA != before.CA:
		return "ca"
	case !slices.Equal(after.Domains, before.Domains):
		return "domains"
	case before.Issuer != "" && after.Issuer != before.Issuer:
		return "issuer"
	case after.MaxUsers > max(before.MaxUsers, DefaultMaxUsers):
		return "max_users"
	}
	return ""
}

func isIssuer(text string) bool {
	u, err := url.Parse(text)
	return err == nil && len(text) <= maxURL && isEndpoint(text) && u.RawQuery == "" && !u.ForceQuery && !strings.Contains(text, "#")
}

// isEndpoint reports whether text is a place that a browser or this server may be sent to.
func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == "" && u.Opaque == "" && isPrintable(text)
}

func areWords(m map[string]string) bool {
	for k, v := range m {
		if !wellFormed(k, maxWord) || !wellFormed(v, maxWord) {
			return false
		}
	}
	return len(m) <= maxEntries
}

func wellFormed(text string, most int) bool {
	return text != "" && text == strings.TrimSpace(text) && utf8.ValidString(text) && utf8.RuneCountInString(text) <= most && isPrintable(text)
}

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
