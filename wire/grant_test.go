package wire_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"bulkhead/wire"
)

func grant() wire.Grant {
	return wire.Grant{
		Version: wire.Version, ID: "T1", Project: 11, Device: 33, Serial: "3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f",
		By:     wire.Grantee{Kind: "user", ID: "7", Name: "ada", Method: "second_factor", At: 1},
		Target: wire.Target{Protocol: wire.ProtocolTCP, Host: "127.0.0.1", Port: 8080}, Gateway: "wss://gw.example/tunnel/device",
		ClientKey: base64.StdEncoding.EncodeToString(make([]byte, 32)),
		NotBefore: 1000, OpenBy: 2000, Expires: 3000, IdleSeconds: 900, MaxStreams: 64, Approvers: []string{}, Nonce: "0123456789abcdef",
	}
}

func TestAGrantIsWhatTheBackendSigned(t *testing.T) {
	t.Parallel()
	public, private, _ := ed25519.GenerateKey(nil)
	signed, err := wire.SignGrant(private, grant())
	if err != nil {
		t.Fatal(err)
	}
	got, err := signed.Verify(public)
	if err != nil || got.Target != grant().Target || got.Nonce != grant().Nonce {
		t.Errorf("got %+v, %v", got, err)
	}
	other, _, _ := ed25519.GenerateKey(nil)
	if _, err := signed.Verify(other); !errors.Is(err, wire.ErrGrantSignature) {
		t.Errorf("another backend's key: %v", err)
	}
	text, _ := base64.StdEncoding.DecodeString(signed.Grant)
	changed := signed
	changed.Grant = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(text), "8080", "8081", 1)))
	if _, err := changed.Verify(public); !errors.Is(err, wire.ErrGrantSignature) {
		t.Errorf("another port: %v", err)
	}
}

// sign signs any bytes as a grant, as a backend of another version might.
func sign(private ed25519.PrivateKey, text string) wire.SignedGrant {
	return wire.SignedGrant{
		Grant:     base64.StdEncoding.EncodeToString([]byte(text)),
		Signature: base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte("bulkhead grant v1\x00"+text))),
	}
}

func TestAGrantHasOneForm(t *testing.T) {
	t.Parallel()
	public, private, _ := ed25519.GenerateKey(nil)
	raw, _ := json.Marshal(grant())
	text := string(raw)
	for name, bad := range map[string]string{
		"a member twice":    strings.Replace(text, `"rate":0`, `"rate":0,"rate":0`, 1),
		"an unknown member": strings.Replace(text, `"rate":0`, `"rate":0,"more":1`, 1),
		"white space":       " " + text,
		"text after it":     text + "{}",
		"another version":   strings.Replace(text, `"version":1`, `"version":2`, 1),
		"no expiry":         strings.Replace(text, `"expires":3000`, `"expires":0`, 1),
		"a plain gateway":   strings.Replace(text, "wss://", "ws://", 1),
		"endless idling":    strings.Replace(text, `"idle_seconds":900`, `"idle_seconds":999999`, 1),
		"no streams":        strings.Replace(text, `"max_streams":64`, `"max_streams":0`, 1),
		"an odd address":    strings.Replace(text, `127.0.0.1`, `0x7f.1`, 1),
		"no nonce":          strings.Replace(text, `0123456789abcdef`, ``, 1),
		"nothing":           "",
	} {
		if _, err := sign(private, bad).Verify(public); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := sign(private, text).Verify(public); err != nil {
		t.Errorf("the one form: %v", err)
	}
}

func TestATargetIsWrittenInOneWay(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"127.0.0.1:22", "[::1]:8080", "plc.local:502", "localhost:1", "10.0.0.7:65535", "a-b.c1:80"} {
		target, err := wire.ParseTarget(good)
		if err != nil || target.String() != good {
			t.Errorf("%s: %v, %v", good, target, err)
		}
	}
	for _, bad := range []string{
		"", ":80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:080", "127.0.0.1:+80", "0x7f.1:80", "127.1:80", "2130706433:80", "0177.0.0.1:80", "127.0.0.0x1:80",
		"[::ffff:127.0.0.1]:80", "[0:0::1]:80", "::1:80", "[fe80::1%eth0]:80", "[127.0.0.1]:80", "EXAMPLE.com:80", "a..b:80", "a.b.:80", "-a:80", "a b:80", "a\x1b[2J:80", "1e3:80", "a.1e3:80", "ⓛocalhost:80",
		"user@host:80", "host/path:80", strings.Repeat("a", 64) + ":80",
	} {
		if target, err := wire.ParseTarget(bad); err == nil {
			t.Errorf("%q was read as %v", bad, target)
		}
	}
	if err := (wire.Target{Protocol: wire.ProtocolPTY, Host: "127.0.0.1"}).Check(); err == nil {
		t.Error("a shell at a host")
	}
	if err := (wire.Target{}).Check(); err == nil {
		t.Error("the zero target leads somewhere")
	}
}

func FuzzGrant(f *testing.F) {
	seed := make([]byte, ed25519.SeedSize)
	private := ed25519.NewKeyFromSeed(seed)
	raw, _ := json.Marshal(grant())
	f.Add(string(raw))
	f.Add(strings.Replace(string(raw), "8080", "1e2", 1))
	f.Add(`{"version":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		g, err := sign(private, text).Verify(private.Public().(ed25519.PublicKey))
		if err != nil {
			return
		}
		again, err := wire.SignGrant(private, g)
		if err != nil || again.Grant != base64.StdEncoding.EncodeToString([]byte(text)) {
			t.Errorf("%q was read and is written otherwise: %v", text, err)
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "[::1]:80", "0x7f.1:80", "a.b:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if target, err := wire.ParseTarget(s); err == nil && target.String() != s {
			t.Errorf("%q was read and is written %q", s, target)
		}
	})
}
