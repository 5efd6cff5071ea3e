// Package network says what one who has an internet address is likely to have for itself.
//
// It promises that addresses of the same holder, however they are written, are of the same network, and that what is no
// address is of one that is not valid, and of no wide one.
package network

import (
	"iter"
	"net/netip"
)

// Wide is how many times what one network may, a wide one may: behind it may be many customers of a provider.
const Wide = 10

// Networks are those that count an address.
type Networks struct {
	Own  netip.Prefix // an IPv4 address, or an IPv6 network of 64 bits
	Wide netip.Prefix // the 48 bits that an IPv6 customer may have as a whole; not valid for IPv4
}

// Of gives the networks of an address.
func Of(a netip.Addr) (n Networks) {
	if a = a.Unmap().WithZone(""); a.Is4() {
		n.Own = netip.PrefixFrom(a, a.BitLen())
	} else if a.Is6() {
		n.Own, _ = a.Prefix(64)  // the bits are within the address
		n.Wide, _ = a.Prefix(48) // as above
	}
	return n
}

// Each gives the networks that there are, and how many times what one may each of them may.
func (n Networks) Each() iter.Seq2[netip.Prefix, int] {
	return func(yield func(netip.Prefix, int) bool) {
		if yield(n.Own, 1) && n.Wide.IsValid() {
			yield(n.Wide, Wide)
		}
	}
}

// OfText gives the networks of an address that is written without a port.
func OfText(address string) Networks {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return Networks{}
	}
	return Of(a)
}
