package webapp

import (
	"net/http"
	"net/url"
	"strings"

	"bulkhead/wire"
)

// CookieName is the cookie of a visit. Its prefix makes browsers keep it to the one host.
const CookieName = "__Host-bulkhead-visit"

// reserved begins the names of this server's cookies.
const reserved = "__host-bulkhead"

// cookieOf gives the value of the one cookie. Two of that name are none.
func cookieOf(r *http.Request) string {
	if found := r.CookiesNamed(CookieName); len(found) == 1 {
		return found[0].Value
	}
	return ""
}

// isOurs also knows a cookie without a name whose value looks like one of ours: some browsers send that as if it had the name.
func isOurs(cookie string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(cookie, "= \t"), "=")
	return strings.HasPrefix(asciiLower(strings.TrimSpace(name)), reserved)
}

// toDevice makes of a request's headers what the device may see.
func toDevice(h http.Header, site string, t wire.Target) {
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" || name == "Forwarded" {
			delete(h, name)
		}
	}
	var kept []string
	for _, line := range h["Cookie"] {
		for one := range strings.SplitSeq(line, ";") {
			if !isOurs(one) {
				kept = append(kept, strings.TrimSpace(one))
			}
		}
	}
	delete(h, "Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
	for _, value := range h["Authorization"] {
		if strings.Contains(value, "bhk_") || strings.Contains(value, "bhs_") { // keys and logins of this server
			delete(h, "Authorization")
			break
		}
	}
	rewrite(h, "Origin", site, origin(t))
	rewrite(h, "Referer", site, origin(t))
}

// rewrite changes the origin in a header.
func rewrite(h http.Header, name, from, to string) {
	if rest, ok := strings.CutPrefix(h.Get(name), from); ok && (rest == "" || rest[0] == '/') {
		h.Set(name, to+rest)
	}
}

// hostOf is what browsers would write into Host.
func hostOf(t wire.Target) string {
	if t.Protocol == wire.ProtocolHTTP && t.Port == 80 || t.Protocol == wire.ProtocolHTTPS && t.Port == 443 {
		return strings.TrimSuffix(strings.TrimSuffix(t.Address(), ":80"), ":443")
	}
	return t.Address()
}

// origin is the target's own.
func origin(t wire.Target) string { return string(t.Protocol) + "://" + hostOf(t) }

// beyond are headers with which an application would speak for more than its own host, or for the connection to it.
var beyond = []string{"Strict-Transport-Security", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-Ct", "Alt-Svc", "Clear-Site-Data", "Nel", "Report-To", "Service-Worker-Allowed"}

// toBrowser makes of an application's headers what holds for its own host.
func toBrowser(h http.Header, site string, t wire.Target) {
	for _, name := range beyond {
		h.Del(name)
	}
	h.Set("Origin-Agent-Cluster", "?1") // pages do not join with those of the domain's other hosts
	var kept []string
	for _, line := range h["Set-Cookie"] {
		if !isOurs(line) {
			kept = append(kept, withoutDomain(line))
		}
	}
	delete(h, "Set-Cookie")
	if len(kept) > 0 {
		h["Set-Cookie"] = kept
	}
	for _, name := range []string{"Location", "Content-Location"} {
		if to := h.Get(name); to != "" {
			h.Set(name, relocated(to, site, t))
		}
	}
}

// withoutDomain keeps a cookie to its host.
func withoutDomain(line string) string {
	parts := strings.Split(line, ";")
	kept := parts[:1]
	for _, part := range parts[1:] {
		if name, _, _ := strings.Cut(part, "="); !strings.EqualFold(strings.TrimSpace(name), "domain") {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ";")
}

// relocated leads to the site where an application leads to its own address.
func relocated(to, site string, t wire.Target) string {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "" && u.Scheme != string(t.Protocol) || u.Host != t.Address() && u.Host != hostOf(t) {
		return to
	}
	at := strings.Index(to, u.Host) + len(u.Host)
	return site + to[at:]
}
