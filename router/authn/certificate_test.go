package authn

import (
	"crypto/x509"
	"math/big"
	"testing"

	"bulkhead/realms"
	"bulkhead/wire"
)

// bySerialNumber trusts a device's certificate by its number.
type bySerialNumber map[wire.Serial]int64

func (s bySerialNumber) Trusts(d realms.Device, c *x509.Certificate) bool {
	n, ok := s[d.Serial]
	return ok && c.SerialNumber.Int64() == n
}

func TestADeviceJoinsByItsCertificateAsLongAsItIsTrusted(t *testing.T) {
	t.Parallel()
	trusted := bySerialNumber{device.Serial: 7}
	a := authenticator(Config{Certificates: trusted})
	join := func(authid string, number int64) (Grant, error) {
		q := request(authid, home, MethodTLS)
		q.Certificate = &x509.Certificate{SerialNumber: big.NewInt(number)}
		x, err := a.Begin(q)
		if err != nil {
			t.Fatal(err)
		}
		if x.Challenge != nil {
			t.Error("the handshake was the challenge")
		}
		return x.Answer(t.Context(), nil)
	}
	g, err := join(string(device.Serial), 7)
	if err != nil || g.Principal.Device != device.Key || !a.HoldsIn(directory(), g.Credential) {
		t.Errorf("%+v %v", g, err)
	}
	if _, err := join(string(device.Serial), 8); err == nil {
		t.Error("another certificate was taken")
	}
	if _, err := join(string(wire.NewSerial()), 7); err == nil {
		t.Error("another device was let in")
	}
	trusted[device.Serial] = 9 // revoked
	if a.HoldsIn(directory(), g.Credential) {
		t.Error("a session outlives its certificate")
	}
	if _, err := a.Begin(request(string(device.Serial), home, MethodTLS)); err == nil {
		t.Error("no certificate was shown")
	}
}
