package devicegrant

import (
	"net/netip"
	"strings"
)

const maxName = 64

// tame keeps what a program says of itself from being more than a name.
func (f From) tame() From {
	return From{Address: f.Address, Host: name(f.Host), Client: name(f.Client)}
}

func name(text string) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	if len(text) > maxName {
		text = text[:maxName]
	}
	return text
}

// networkOf is what counts as one source: an IPv4 address, or the network of an IPv6 address that one subscriber has.
func networkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	network, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return network.String()
}
