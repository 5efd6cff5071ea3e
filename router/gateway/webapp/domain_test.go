package webapp_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bulkhead/router/gateway/webapp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	domain = webapp.Domain("tunnel.example")
	name   = "abcdefghijklmnopqrstuvwx27"
)

func TestAHostBelongsToTheDomainHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]struct {
		name   string
		within bool
	}{
		name + ".tunnel.example":                    {name, true},
		name + ".tunnel.example:8443":               {name, true},
		name + ".TUNNEL.example.:8443":              {name, true},
		strings.ToUpper(name) + ".tunnel.example":   {name, true},
		name + ".tunnel.example..":                  {"", true},
		"tunnel.example":                            {"", true},
		"tunnel.example.:443":                       {"", true},
		".tunnel.example":                           {"", true},
		"x.tunnel.example":                          {"", true},
		"a." + name + ".tunnel.example":             {"", true},
		"abcdefghijklmnopqrstuvwx18.tunnel.example": {"", true}, // no digits of base32
		name + "\x00.tunnel.example":                {"", true},
		name + "@x.tunnel.example":                  {"", true},
		"":                                          {"", false},
		":8443":                                     {"", false},
		"127.0.0.1:8443":                            {"", false},
		"[::1]:8443":                                {"", false},
		"bulkhead.example":                          {"", false},
		name + ".xtunnel.example":                   {"", false},
		name + ".tunnel.example.evil.example":       {"", false},
		name + ".tunne\u212a.example":               {"", false},
	} {
		if got, within := domain.Split(host); got != want.name || within != want.within {
			t.Errorf("%q: %q, %v", host, got, within)
		}
		if _, within := webapp.Domain("").Split(host); within {
			t.Errorf("%q is within no domain", host)
		}
	}
}

// What a browser or a proxy may take for a host of the domain never reaches the server's own pages.
func FuzzDomain(f *testing.F) {
	for _, host := range []string{name + ".tunnel.example:8443", "tunnel.example.", "[::1]:1", "a.tunnel.example:x", name + ".Tunnel.Example.."} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		got, within := domain.Split(host)
		lower := strings.ToLower(host)
		bare, _, _ := strings.Cut(lower, ":")
		bare = strings.TrimRight(bare, ".")
		isASCII := strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0
		if isASCII && strings.Count(host, ":") <= 1 && strings.Trim(lower[min(len(lower), strings.IndexByte(lower+":", ':')):], ":0123456789") == "" &&
			within != (bare == string(domain) || strings.HasSuffix(bare, "."+string(domain))) {
			t.Errorf("%q: within is %v", host, within)
		}
		if got != "" && (!within || len(got) != len(name) || !strings.HasPrefix(lower, got+"."+string(domain))) {
			t.Errorf("%q names %q", host, got)
		}
	})
}
