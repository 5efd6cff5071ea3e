package network_test

import (
	"maps"
	"net/netip"
	"testing"

	"bulkhead/internal/network"
)

func TestAddressesOfOneHolderAreOfOneNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]string{
		"192.0.2.1":                   {"192.0.2.1/32", ""},
		"::ffff:192.0.2.1":            {"192.0.2.1/32", ""},
		"::ffff:c000:201":             {"192.0.2.1/32", ""},
		"2001:db8:7:1::1":             {"2001:db8:7:1::/64", "2001:db8:7::/48"},
		"2001:db8:7:1:ffff:ffff::2":   {"2001:db8:7:1::/64", "2001:db8:7::/48"},
		"2001:0DB8:7:1:0:0:0:1":       {"2001:db8:7:1::/64", "2001:db8:7::/48"},
		"2001:db8:7:2::1":             {"2001:db8:7:2::/64", "2001:db8:7::/48"},
		"fe80::1%eth0":                {"fe80::/64", "fe80::/48"},
		"::1":                         {"::/64", "::/48"},
		"":                            {"", ""},
		"host.example":                {"", ""},
		"192.0.2.1:80":                {"", ""},
		"192.0.2.01":                  {"", ""},
		"192.0.2.1/24":                {"", ""},
		"2001:db8:7:1::1 ":            {"", ""},
		"[2001:db8:7:1::1]":           {"", ""},
		"2001:db8:7:1::192.0.2.1.1":   {"", ""},
		"2001:db8:7:1:1:1:1:1:1":      {"", ""},
		"::ffff:192.0.2.1%eth0":       {"192.0.2.1/32", ""},
		"2001:db8:7:1:0:ffff:c000::":  {"2001:db8:7:1::/64", "2001:db8:7::/48"},
		"64:ff9b::c000:201":           {"64:ff9b::/64", "64:ff9b::/48"},
		"2001:db8:7:ffff:ffff::ffff%": {"", ""},
	} {
		got := network.OfText(address)
		if text(got.Own) != want[0] || text(got.Wide) != want[1] {
			t.Errorf("%q is of %s and %s", address, got.Own, got.Wide)
		}
	}
	if got := network.Of(netip.Addr{}); got.Own.IsValid() || got.Wide.IsValid() {
		t.Errorf("no address is of %+v", got)
	}
}

func TestAWideNetworkMayMoreThanOneOfThoseInIt(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]map[string]int{
		"192.0.2.1":       {"192.0.2.1/32": 1},
		"2001:db8:7:1::1": {"2001:db8:7:1::/64": 1, "2001:db8:7::/48": network.Wide},
		"nobody":          {"": 1},
	} {
		got := map[string]int{}
		for of, times := range network.OfText(address).Each() {
			got[text(of)] = times
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v", address, got)
		}
		for range network.OfText(address).Each() {
			break // one may leave at the first
		}
	}
}

func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
