package webapp

import "strings"

// Domain is the domain below which each site has its host name, in lower case. The empty Domain has none.
type Domain string

// nameLength is the length of a site's name: 130 bits, which nobody guesses.
const nameLength = 26

// Split tells whether the host of a request, as the client wrote it, is the domain or below it, and which site it names: ""
// for none. What only resembles the domain is within it, because what is within reaches nothing by default.
func (d Domain) Split(host string) (name string, within bool) {
	if d == "" {
		return "", false
	}
	host = withoutPort(asciiLower(host))
	bare := strings.TrimRight(host, ".")
	name, below := strings.CutSuffix(bare, "."+string(d))
	switch {
	case bare == string(d):
		return "", true
	case !below:
		return "", false
	case len(host) > len(bare)+1, !isName(name):
		return "", true
	default:
		return name, true
	}
}

func withoutPort(host string) string {
	if at := strings.LastIndexByte(host, ':'); at >= 0 && strings.Trim(host[at+1:], "0123456789") == "" {
		return host[:at]
	}
	return host
}

// asciiLower leaves what is not ASCII alone: some of it becomes ASCII in lower case.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func isName(s string) bool {
	return len(s) == nameLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
