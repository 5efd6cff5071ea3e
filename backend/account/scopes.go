package account

import "strings"

// scopes tells what p's WAMP sessions may use: all of what p holds, or what its API key names.
func (p Principal) scopes() string {
	switch p.Proof {
	case ProofLogin:
		return string(AllScopes)
	case ProofAPIKey:
		words := make([]string, len(p.Scopes))
		for i, s := range p.Scopes {
			words[i] = string(s)
		}
		return strings.Join(words, " ")
	default:
		return ""
	}
}
