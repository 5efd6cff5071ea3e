package pages_test

import (
	"net/url"
	"strings"
	"testing"

	"bulkhead/backend/pages"
)

// FuzzLocalPath asks a second, dumber reading: what browsers make of a Location, who take a backslash for a slash and drop
// control characters.
func FuzzLocalPath(f *testing.F) {
	for _, text := range []string{"/", "/account?x=1", "//evil.example", `/\evil.example`, "/%09/evil", "https://evil.example", "/a/../b", "/login", "/a?b=//c", "/a#b"} {
		f.Add(text)
	}
	base, err := url.Parse("https://bulkhead.test/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := pages.LocalPath(text)
		if got == "" {
			return
		}
		read := strings.Map(func(r rune) rune {
			switch {
			case r == '\\':
				return '/'
			case r < ' ':
				return -1
			}
			return r
		}, got)
		u, err := base.Parse(read)
		if err != nil || got != text || u.Scheme != "https" || u.Host != "bulkhead.test" || strings.HasPrefix(read, "//") || strings.HasPrefix(u.Path, "/login/") {
			t.Fatalf("%q leads to %v, %v", text, u, err)
		}
	})
}
