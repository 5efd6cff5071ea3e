package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Protocol is what a tunnel speaks at the device.
type Protocol string

// The protocols.
const (
	ProtocolTCP   Protocol = "tcp"   // to a host and port
	ProtocolPTY   Protocol = "pty"   // a shell of the agent's own
	ProtocolHTTP  Protocol = "http"  // to a web application, whose pages the gateway serves
	ProtocolHTTPS Protocol = "https" // to one that speaks TLS, to the agent
)

// Web reports whether the gateway serves what the target has as pages of the web. It reads them.
func (p Protocol) Web() bool { return p == ProtocolHTTP || p == ProtocolHTTPS }

// Target is where a tunnel leads on, or from, a device.
type Target struct {
	Protocol Protocol `json:"protocol"`
	Host     string   `json:"host"` // an address in its one form, or a name; empty for a shell
	Port     uint16   `json:"port"` // zero for a shell
}

// PTY is the target of shells.
var PTY = Target{Protocol: ProtocolPTY}

// ParseTarget reads HOST:PORT as people write it, and http://HOST and https://HOST with a port or without. An address has
// one form here, because a policy that is read by people must mean what it says: 0x7f.1, 127.1 and ::ffff:127.0.0.1 are
// refused.
func ParseTarget(s string) (Target, error) {
	scheme, rest, web := strings.Cut(s, "://")
	if !web {
		return parseAddress(ProtocolTCP, s)
	}
	p := Protocol(scheme)
	if !p.Web() {
		return Target{}, fmt.Errorf("%q: want HOST:PORT, or a URL of http or https", s)
	}
	rest = strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(rest, "/?#@") {
		return Target{}, fmt.Errorf("%q: a target has no path and no user: want one like %s://127.0.0.1:8080", s, scheme)
	}
	if colon := strings.LastIndexByte(rest, ':'); colon < 0 || strings.HasSuffix(rest, "]") {
		rest += map[Protocol]string{ProtocolHTTP: ":80", ProtocolHTTPS: ":443"}[p]
	}
	return parseAddress(p, rest)
}

func parseAddress(p Protocol, s string) (Target, error) {
	host, port, ok := cutPort(s)
	if !ok {
		return Target{}, fmt.Errorf("%q: want HOST:PORT, like 127.0.0.1:8080 or [::1]:8080", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return Target{}, fmt.Errorf("%q is no port: want a number from 1 to 65535", port)
	}
	t := Target{p, host, uint16(n)}
	return t, t.Check()
}

func cutPort(s string) (host, port string, ok bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return "", "", false
	}
	host, port = s[:at], s[at+1:]
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	if bracketed {
		host = host[1 : len(host)-1]
	}
	return host, port, bracketed == strings.Contains(host, ":")
}

func (t Target) String() string {
	if t.Protocol == ProtocolPTY {
		return "shell"
	}
	if t.Protocol.Web() {
		return string(t.Protocol) + "://" + t.Address()
	}
	return t.Address()
}

// Address is HOST:PORT.
func (t Target) Address() string {
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(t.Port))
}

// Check reports what is wrong with a target.
func (t Target) Check() error {
	switch t.Protocol {
	case ProtocolPTY:
		if t.Host != "" || t.Port != 0 {
			return errors.New("target: a shell has no host and no port")
		}
		return nil
	case ProtocolTCP, ProtocolHTTP, ProtocolHTTPS:
		if t.Port == 0 {
			return errors.New("target: the port is missing")
		}
		return CheckHost(t.Host)
	default:
		return fmt.Errorf("target: %q is no protocol: want tcp, http, https or pty", t.Protocol)
	}
}

// CheckHost accepts an address in its one form and a name that can be nothing else.
func CheckHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return checkAddress(host, a)
	}
	if host == "" || len(host) > 253 {
		return fmt.Errorf("target: %q is no host", host)
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if !isLabel(l) {
			return fmt.Errorf("target: %q is no host: want an address, or a name of lower-case letters, digits, dots and dashes", host)
		}
	}
	if numeric(labels[len(labels)-1]) { // some resolvers read such a name as an address: 0x7f.1, 127.1, 2130706433
		return fmt.Errorf("target: %q is an address in a form that programs read differently: write it like 127.0.0.1", host)
	}
	return nil
}

func checkAddress(host string, a netip.Addr) error {
	switch {
	case a.Zone() != "":
		return fmt.Errorf("target: %q has a zone: addresses of one link cannot be reached", host)
	case a.Unmap().String() != host:
		return fmt.Errorf("target: %q is written %s here", host, a.Unmap())
	default:
		return nil
	}
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// numeric reports whether a last label makes a name an address to somebody.
func numeric(label string) bool {
	_, err := strconv.ParseUint(label, 0, 64)
	return err == nil || label[0] >= '0' && label[0] <= '9'
}
