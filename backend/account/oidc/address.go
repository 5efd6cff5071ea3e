package oidc

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// special are networks that are not the public internet. A provider's host name may resolve to any address at any time,
// and whoever may make a provider would otherwise have the server ask its own neighbours.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10",
)

// never are refused even where a provider may be in a private network: cloud metadata is there, and what is no host.
var never = prefixes("169.254.0.0/16", "fe80::/10", "224.0.0.0/3", "ff00::/8", "0.0.0.0/32", "::/128", "fd00:ec2::/32")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// reachable decides whether the server may connect to an address for a provider.
func reachable(a netip.Addr, private bool) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || within(a, never) {
		return false
	}
	return private || !within(a, special)
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// privateError says that a provider's host resolved to an address that the server does not connect to.
type privateError struct{ address string }

func (e *privateError) Error() string {
	return fmt.Sprintf("%s, to which this server does not connect for this provider", e.address)
}

// guard is asked when a name has been resolved and before a packet is sent, so that a name which resolves to another
// address the second time gains nothing.
func guard(private bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return &privateError{address}
		}
		a, err := netip.ParseAddr(host)
		if err != nil || !reachable(a, private) {
			return &privateError{address}
		}
		return nil
	}
}
