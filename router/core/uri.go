package core

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

const errInvalidURI = "wamp.error.invalid_uri"

// maxComponents is how many components a wildcard pattern may have. Each costs memory of its own, and may be looked at for each
// publication that the ones before it match.
const maxComponents = 32

// checkURI refuses what is no URI, or no pattern of the kind that m says. Empty components are for patterns only.
func (r *Realm) checkURI(uri string, m realms.Match) error {
	if len(uri) > r.uriLength {
		return errs.E(wire.Exhausted, "the URI is longer than %d bytes", r.uriLength)
	}
	if m == realms.Wildcard && strings.Count(uri, ".") >= maxComponents {
		return errs.E(wire.Exhausted, "the pattern has more than %d components", maxComponents)
	}
	allowed := looseByte
	if r.config.StrictURIs {
		allowed = strictByte
	}
	if !wellFormed(uri, m, allowed) {
		return &errs.Error{Kind: wire.Invalid, User: "not a valid URI", URI: errInvalidURI}
	}
	return nil
}

// wellFormed checks components one by one. The last component of a prefix may be cut short, to nothing even.
func wellFormed(uri string, m realms.Match, allowed func(string) int) bool {
	for more := true; more; {
		var component string
		component, uri, more = strings.Cut(uri, ".")
		if component == "" && !(m == realms.Wildcard || m == realms.Prefix && !more) {
			return false
		}
		for component != "" {
			n := allowed(component)
			if n == 0 {
				return false
			}
			component = component[n:]
		}
	}
	return true
}

// looseByte gives the length of the first character of s where loose URIs allow it: neither white space nor "#".
func looseByte(s string) int {
	if c := s[0]; c < utf8.RuneSelf {
		if c <= ' ' || c == '#' || c == 0x7f {
			return 0
		}
		return 1
	}
	c, n := utf8.DecodeRuneInString(s)
	if c == utf8.RuneError && n == 1 || unicode.IsSpace(c) || unicode.IsControl(c) {
		return 0
	}
	return n
}

// strictByte allows what the specification recommends: lower case letters, digits and underscores.
func strictByte(s string) int {
	c := s[0]
	if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
		return 1
	}
	return 0
}

// reserved reports whether a URI, or any URI that a pattern names outright, is the router's own.
func reserved(uri string) bool {
	rest, ok := strings.CutPrefix(uri, "wamp")
	return ok && (rest == "" || rest[0] == '.')
}
