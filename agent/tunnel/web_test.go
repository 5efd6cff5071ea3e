package tunnel_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bulkhead/agent/tunnel"
	"bulkhead/router/gateway"
	"bulkhead/wire"
)

// get asks a web application at the far end of a tunnel whose user's end is the gateway.
func (s *stage) get(target wire.Target) (string, error) {
	s.t.Helper()
	g := s.grant()
	g.Target, g.ClientKey = target, ""
	tickets, err := s.gateway.Admit(gateway.Pass{ID: g.ID, Expires: time.Now().Add(time.Hour), Idle: time.Hour, MaxStreams: 8, Inside: true})
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := wire.SignGrant(s.key, g)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Open(s.t.Context(), wire.TunnelOpenRequest{Grant: signed, Ticket: string(tickets.Device.Reveal())}); err != nil {
		return "", err
	}
	session, err := s.gateway.Enter(s.t.Context(), g.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	defer session.Close()
	stream, err := session.Open(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.WriteString(stream, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(stream), nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func TestTheDeviceSaysWhichCertificateOfAWebApplicationIsGoodEnough(t *testing.T) {
	t.Parallel()
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	app.Config.ErrorLog = log.New(io.Discard, "", 0)
	app.StartTLS()
	t.Cleanup(app.Close)
	target, err := wire.ParseTarget(app.URL)
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("sha256:%x", sha256.Sum256(app.Certificate().Raw))
	for certificate, good := range map[string]bool{
		"": false, "verified": false, "any": true, own: true, "sha256:" + strings.Repeat("00", 32): false,
	} {
		rule := "version: 1\nallow:\n  - {protocol: https, hosts: [127.0.0.1], ports: [\"1-65535\"], certificate: \"" + certificate + "\"}\n"
		if text, err := newStage(t, rule, nil).get(target); (err == nil) != good || (text == "hello") != good {
			t.Errorf("%q: %q, %v", certificate, text, err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(app.Certificate())
	trusting := newStage(t, "version: 1\nallow:\n  - {protocol: https, hosts: [127.0.0.1], ports: [\"1-65535\"]}\n", func(c *tunnel.Config) { c.WebAuthority = roots })
	if text, err := trusting.get(target); err != nil || text != "hello" {
		t.Errorf("by an authority that the device trusts: %q, %v", text, err)
	}
	plain := target
	plain.Protocol = wire.ProtocolHTTP
	if _, err := newStage(t, "version: 1\nallow:\n  - {protocol: https, hosts: [127.0.0.1], ports: [\"1-65535\"]}\n", nil).get(plain); err == nil {
		t.Error("a rule for https allows http")
	}
}

func TestWhatIsToBeEncryptedFromEndToEndIsNotShownAsPages(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, nil)
	target, err := wire.ParseTarget("http://" + s.target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(target); err == nil || !strings.Contains(err.Error(), "http://") {
		t.Errorf("got %v", err)
	}
}
