package oidc

import (
	"net/netip"
	"testing"
)

func TestWhatIsNotThePublicInternetIsNotReached(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ public, private bool }{
		"93.184.216.34": {true, true}, "2606:2800:220:1::1": {true, true},
		"127.0.0.1": {false, true}, "10.1.2.3": {false, true}, "172.16.0.1": {false, true}, "172.32.0.1": {true, true}, "192.168.1.1": {false, true},
		"100.64.0.1": {false, true}, "198.18.0.1": {false, true}, "::1": {false, true}, "fd12::1": {false, true}, "::ffff:10.0.0.1": {false, true},
		"::10.0.0.1": {false, true}, "64:ff9b::a00:1": {false, true}, "2002:a00:1::": {false, true}, "2001::1": {false, true},
		"169.254.169.254": {false, false}, "::ffff:169.254.169.254": {false, false}, "fe80::1": {false, false}, "fe80::1%eth0": {false, false}, "fd00:ec2::254": {false, false},
		"0.0.0.0": {false, false}, "::": {false, false}, "224.0.0.1": {false, false}, "255.255.255.255": {false, false}, "240.0.0.1": {false, false}, "ff02::1": {false, false},
		"0.1.2.3": {false, true},
	} {
		a := netip.MustParseAddr(text)
		if reachable(a, false) != want.public || reachable(a, true) != want.private {
			t.Errorf("%s: %v and %v, want %+v", text, reachable(a, false), reachable(a, true), want)
		}
	}
	if reachable(netip.Addr{}, true) {
		t.Error("no address is reached")
	}
	for _, address := range []string{"", "localhost:80", "127.0.0.1", "127.0.0.1:443", "[::1]:443"} {
		if guard(false)("tcp", address, nil) == nil {
			t.Errorf("%q is dialled", address)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/", "/a?b#c", "//evil.example", "/\\evil.example", "/%2f%2fevil", "https://x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := LocalPath(text)
		if ok && (len(got) == 0 || got[0] != '/' || len(got) > 1 && (got[1] == '/' || got[1] == '\\')) {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}

func FuzzParseSlug(f *testing.F) {
	for _, seed := range []string{"company", "7-company", "0-x", "-", "7-", "07-x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		project, name, ok := parseSlug(text)
		if ok && (Provider{Project: project, Name: name}).Slug() != text {
			t.Errorf("%q is %d and %q", text, project, name)
		}
	})
}
