package webapp

import (
	"net/http"
	"reflect"
	"testing"

	"bulkhead/wire"
)

const siteOrigin = "https://x.tunnel.example:8443"

var app = wire.Target{Protocol: wire.ProtocolHTTP, Host: "127.0.0.1", Port: 8080}

func TestTheDeviceSeesNoCredentialOfOurs(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Cookie":            {"a=1; __Host-bulkhead-visit=secret; b=\"x;y\"", "__HOST-Bulkhead=secret", " __Host-bulkhead-visit =secret"},
		"Authorization":     {"Bearer bhs_x"},
		"X-Forwarded-For":   {"203.0.113.1"},
		"X-Forwarded-Other": {"x"},
		"X-Real-Ip":         {"203.0.113.1"},
		"Origin":            {siteOrigin},
		"Referer":           {siteOrigin + "/page?x"},
		"Accept":            {"*/*"},
	}
	toDevice(h, siteOrigin, app)
	want := http.Header{
		"Cookie": {"a=1; b=\"x; y\""}, "Origin": {"http://127.0.0.1:8080"}, "Referer": {"http://127.0.0.1:8080/page?x"}, "Accept": {"*/*"},
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got  %v\nwant %v", h, want)
	}
	basic := http.Header{"Authorization": {"Basic dXNlcjpwYXNz"}, "Origin": {siteOrigin + ".evil.example"}}
	toDevice(basic, siteOrigin, app)
	if basic.Get("Authorization") == "" || basic.Get("Origin") != siteOrigin+".evil.example" {
		t.Errorf("got %v", basic)
	}
}

func TestWhatAnApplicationSetsHoldsForItsOwnHost(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Set-Cookie": {"a=1; Domain=tunnel.example; Path=/; HttpOnly", "b=2;domain = .example;Secure", "__Host-bulkhead-visit=x; Path=/", "=__Host-bulkhead-visit=x; Path=/", " = __host-bulkhead-visit=x", "__Host-bulkhead-visit", "c=domain=3"},
		"Alt-Svc":    {`h3="evil:443"`}, "Clear-Site-Data": {`"*"`}, "Strict-Transport-Security": {"max-age=1"}, "Location": {"http://127.0.0.1:8080"},
	}
	toBrowser(h, siteOrigin, app)
	want := http.Header{
		"Set-Cookie": {"a=1; Path=/; HttpOnly", "b=2;Secure", "c=domain=3"}, "Location": {siteOrigin}, "Origin-Agent-Cluster": {"?1"},
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got  %v\nwant %v", h, want)
	}
}

func TestARedirectToTheApplicationsOwnAddressLeadsToItsSite(t *testing.T) {
	t.Parallel()
	web := wire.Target{Protocol: wire.ProtocolHTTPS, Host: "plc.local", Port: 443}
	for to, want := range map[string]string{
		"https://plc.local/a?b#c":      siteOrigin + "/a?b#c",
		"https://plc.local:443/a":      siteOrigin + "/a",
		"//plc.local/a":                siteOrigin + "/a",
		"/a":                           "/a",
		"a":                            "a",
		"http://plc.local/a":           "http://plc.local/a",
		"https://plc.local:8443/a":     "https://plc.local:8443/a",
		"https://evil.example/":        "https://evil.example/",
		"https://plc.local.evil/":      "https://plc.local.evil/",
		"https://plc.local@evil.test/": "https://plc.local@evil.test/",
		"https://user@plc.local/a":     siteOrigin + "/a",
		"%zz":                          "%zz",
	} {
		if got := relocated(to, siteOrigin, web); got != want {
			t.Errorf("%s leads to %s", to, got)
		}
	}
}

func TestALoginLeadsBackToAPathOfTheSite(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"/": "/", "/a?b=c": "/a?b=c", "//evil.example/": "//evil.example/", // of the site: its origin stands before it
		"": "/", "https://evil.example/": "/", "/\\evil": "/", "/a\r\nb": "/", wire.TunnelPathEnter: "/",
	} {
		if got := local(to); got != want {
			t.Errorf("%q: %q", to, got)
		}
	}
}
