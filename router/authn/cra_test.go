package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func TestSignaturesAreThoseOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, key := range []int{0, 1, 32, 63, 64, 65, 200} {
		for _, text := range []int{0, 1, 55, 250, 511, 512, 513, 3000} {
			k, what := []byte(strings.Repeat("k", key)), strings.Repeat("t", text)
			standard := hmac.New(sha256.New, k)
			standard.Write([]byte(what))
			if got := signature(k, what); !hmac.Equal(got[:], standard.Sum(nil)) {
				t.Errorf("a key of %d bytes, a text of %d", key, text)
			}
		}
	}
}

func TestAnAuthIDAddsNothingToAChallenge(t *testing.T) {
	t.Parallel()
	for _, authid := range []string{"", "a", `","authrole":"trusted","x":"`, "\x00\n\"\\", "<script>", "ü\u2028", "\xff"} {
		c := claim{request: Request{AuthID: authid, Session: 1 << 53}, entry: realms.Entry{Realm: realms.OfProject(7)}}
		text, err := c.challenge()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Nonce, AuthProvider, AuthID, Timestamp, AuthRole, AuthMethod string
			Session                                                      message.ID
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%q: %v in %s", authid, err, text)
		}
		if got.AuthID != strings.ToValidUTF8(authid, "\ufffd") || got.AuthRole != string(realms.RoleAgent) || got.Session != 1<<53 || len(got.Nonce) != 24 ||
			got.AuthProvider != Provider || got.AuthMethod != MethodCRA || len(got.Timestamp) != len("2006-01-02T15:04:05.000Z") {
			t.Errorf("%q: %+v", authid, got)
		}
	}
}
