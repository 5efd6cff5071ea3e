package authn

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"testing"

	"bulkhead/internal/secret"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// The example of RFC 7677, section 3.
func TestSCRAMAgreesWithTheExampleOfItsRFC(t *testing.T) {
	t.Parallel()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	e := newScramExchange("user", "rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", salt)
	// The RFC's client sends "biws", which is "n,," too.
	proof, err := base64.StdEncoding.DecodeString("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if err != nil {
		t.Fatal(err)
	}
	verifier, ok := e.verify(secret.FromString("pencil"), proof)
	if got := base64.StdEncoding.EncodeToString(verifier); !ok || got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("%t, verifier %s", ok, got)
	}
}

// prove is a client's answer to a challenge.
func prove(t *testing.T, c *message.Challenge, authid, nonce string, key secret.Value) *message.Authenticate {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString(c.Extra["salt"].(string))
	if err != nil {
		t.Fatal(err)
	}
	all := c.Extra["nonce"].(string)
	text := "n=" + authid + ",r=" + nonce + ",r=" + all + ",s=" + c.Extra["salt"].(string) + ",i=4096,c=biws,r=" + all
	salted, err := pbkdf2.Key(sha256.New, string(key.Reveal()), salt, 4096, 32)
	if err != nil {
		t.Fatal(err)
	}
	client := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(client)
	subtle.XORBytes(client, client, mac(stored[:], []byte(text)))
	return &message.Authenticate{Signature: base64.StdEncoding.EncodeToString(client), Extra: message.Dict{"nonce": all}}
}

func TestADeviceJoinsBySCRAM(t *testing.T) {
	t.Parallel()
	a, serial := authenticator(Config{}), string(device.Serial)
	begin := func(authid string) *Exchange {
		q := request(authid, home, MethodSCRAM)
		q.Extra = message.Dict{"nonce": "AAAAAAAA", "channel_binding": nil}
		x, err := a.Begin(q)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := begin(serial)
	g, err := x.Answer(t.Context(), prove(t, x.Challenge, serial, "AAAAAAAA", device.Secrets[0]))
	if err != nil || g.Principal.Device != device.Key || g.Method != MethodSCRAM || g.Extra["verifier"] == "" {
		t.Errorf("%+v %v", g, err)
	}
	for name, change := range map[string]func(*message.Authenticate){
		"another nonce":   func(m *message.Authenticate) { m.Extra["nonce"] = "AAAAAAAABBBB" },
		"no nonce":        func(m *message.Authenticate) { m.Extra = nil },
		"channel binding": func(m *message.Authenticate) { m.Extra["channel_binding"] = "tls-unique" },
		"another proof":   func(m *message.Authenticate) { m.Signature = base64.StdEncoding.EncodeToString(make([]byte, 32)) },
		"no proof":        func(m *message.Authenticate) { m.Signature = "" },
	} {
		fresh := authenticator(Config{}) // failures of one must not slow the next
		a = fresh
		x := begin(serial)
		m := prove(t, x.Challenge, serial, "AAAAAAAA", device.Secrets[0])
		change(m)
		if g, err := x.Answer(t.Context(), m); err == nil {
			t.Errorf("%s: %+v", name, g)
		}
	}
	stranger := string(wire.NewSerial())
	first, second := begin(stranger), begin(stranger)
	if first.Challenge.Extra["salt"] != second.Challenge.Extra["salt"] {
		t.Error("a stranger's salt changes, so it shows that there is no such principal")
	}
	if _, err := first.Answer(t.Context(), prove(t, first.Challenge, stranger, "AAAAAAAA", device.Secrets[0])); err == nil {
		t.Error("a stranger joined")
	}
}

func TestAHelloForSCRAMNeedsANonceAndNoChannelBinding(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string]message.Dict{
		"nothing":         nil,
		"a number":        {"nonce": int64(5)},
		"no base64":       {"nonce": "a,b"},
		"channel binding": {"nonce": "AAAA", "channel_binding": "tls-unique"},
	} {
		q := request(string(device.Serial), home, MethodSCRAM)
		q.Extra = extra
		if _, err := authenticator(Config{}).Begin(q); err == nil {
			t.Errorf("%s: challenged", name)
		}
	}
}
