package oidc_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"bulkhead/backend/account/oidc"
	"bulkhead/wire"
)

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

// hs256 signs with a shared secret, whatever that is.
func hs256(key []byte, header, claims map[string]any) string {
	header["alg"] = "HS256"
	head, _, _ := strings.Cut(unsigned(header, claims, ""), ".")
	body := head + "." + base64.RawURLEncoding.EncodeToString(must(jsonOf(claims)))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(body))
	return body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func publicPEM() []byte {
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	stageOf := forks(t)
	type header = map[string]any
	for name, test := range map[string]struct {
		reason string
		sign   func(claims map[string]any) string
	}{
		"alg none":                  {"algorithm is not among", func(c map[string]any) string { return unsigned(header{"alg": "none", "kid": "rsa"}, c, "") }},
		"alg None":                  {"algorithm is not among", func(c map[string]any) string { return unsigned(header{"alg": "None", "kid": "rsa"}, c, "") }},
		"no alg":                    {"algorithm is not among", func(c map[string]any) string { return unsigned(header{"kid": "rsa"}, c, "x") }},
		"no signature":              {"failed to verify", func(c map[string]any) string { return unsigned(header{"alg": "RS256", "kid": "rsa"}, c, "") }},
		"HS256 with the public PEM": {"algorithm is not among", func(c map[string]any) string { return hs256(publicPEM(), header{"kid": "rsa"}, c) }},
		"HS256 with the public JWK": {"algorithm is not among", func(c map[string]any) string {
			return hs256(must(jsonOf(jose.JSONWebKey{Key: rsaKey().Public()})), header{"kid": "rsa"}, c)
		}},
		"HS256 with the client secret": {"algorithm is not among", func(c map[string]any) string { return hs256([]byte(clientSecret), header{}, c) }},
		"an algorithm not allowed":     {"algorithm is not among", func(c map[string]any) string { return signed("PS256", rsaKey(), c, header{"kid": "rsa"}) }},
		"a stranger's key":             {"failed to verify", func(c map[string]any) string { return signed("RS256", strangerKey(), c, header{"kid": "rsa"}) }},
		"a stranger's key, no kid":     {"failed to verify", func(c map[string]any) string { return signed("RS256", strangerKey(), c, nil) }},
		"an unknown kid":               {"failed to verify", func(c map[string]any) string { return signed("RS256", rsaKey(), c, header{"kid": "unknown"}) }},
		"a kid that is a path": {"failed to verify", func(c map[string]any) string {
			return signed("RS256", strangerKey(), c, header{"kid": "../../../dev/null"})
		}},
		"a kid that is SQL":     {"failed to verify", func(c map[string]any) string { return signed("RS256", strangerKey(), c, header{"kid": "x' OR '1'='1"}) }},
		"a key of another kind": {"failed to verify", func(c map[string]any) string { return signed("RS256", strangerKey(), c, header{"kid": "ec"}) }},
		"a jku": {"names a key of its own by jku", func(c map[string]any) string {
			return signed("RS256", strangerKey(), c, header{"kid": "rsa", "jku": "https://evil.example/keys"})
		}},
		"a jku and a right key": {"names a key of its own by jku", func(c map[string]any) string {
			return signed("RS256", rsaKey(), c, header{"kid": "rsa", "jku": "https://evil.example/keys"})
		}},
		"an x5u": {"names a key of its own by x5u", func(c map[string]any) string {
			return signed("RS256", strangerKey(), c, header{"kid": "rsa", "x5u": "https://evil.example/cert"})
		}},
		"its own key": {"brings a key of its own", func(c map[string]any) string {
			return signed("RS256", strangerKey(), c, header{"jwk": jose.JSONWebKey{Key: strangerKey().Public()}})
		}},
		"altered claims":           {"failed to verify", altered},
		"JSON in place of a token": {"malformed", func(c map[string]any) string { return string(must(jsonOf(c))) }},
		"not a token":              {"malformed", func(map[string]any) string { return "x.y.z" }},
		"four parts":               {"malformed", func(c map[string]any) string { return signed("RS256", rsaKey(), c, nil) + ".x" }},
		"a token of a giant": {"more than 32768 characters", func(c map[string]any) string {
			c["pad"] = strings.Repeat("x", 30<<10)
			return signed("RS256", rsaKey(), c, nil)
		}},
		"no token": {"gave no ID token", func(map[string]any) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := stageOf(t), newProvider(t)
			p.sign = test.sign
			s.add(s.slug, p)
			_, err := s.finish(s.begin(s.slug, p))
			s.refused(err, wire.Unauthenticated, test.reason)
		})
	}
}

func altered(claims map[string]any) string {
	parts := strings.Split(signed("RS256", rsaKey(), claims, map[string]any{"kid": "rsa"}), ".")
	claims["sub"] = "root"
	parts[1] = base64.RawURLEncoding.EncodeToString(must(jsonOf(claims)))
	return strings.Join(parts, ".")
}

func TestTokensForOthersOrOtherTimesAreRefused(t *testing.T) {
	t.Parallel()
	stageOf := forks(t)
	now := time.Now()
	type claims = map[string]any
	for name, test := range map[string]struct {
		reason string
		claims claims
	}{
		"another issuer":               {"issued by a different provider", claims{"iss": "https://evil.example"}},
		"the issuer with a slash":      {"issued by a different provider", claims{"iss": "https://evil.example/"}},
		"no issuer":                    {"issued by a different provider", claims{"iss": nil}},
		"another audience":             {"expected audience", claims{"aud": "somebody"}},
		"no audience":                  {"expected audience", claims{"aud": nil}},
		"two audiences, no azp":        {"issued to another party", claims{"aud": []string{clientID, "evil"}}},
		"another azp":                  {"issued to another party, evil", claims{"aud": []string{clientID, "evil"}, "azp": "evil"}},
		"another azp, one audience":    {"issued to another party, evil", claims{"azp": "evil"}},
		"expired":                      {"has expired", claims{"exp": now.Add(-time.Second).Unix()}},
		"no expiry":                    {"has expired", claims{"exp": nil}},
		"not yet valid":                {"nbf", claims{"nbf": now.Add(time.Hour).Unix()}},
		"issued 11 minutes ago":        {"not issued within", claims{"iat": now.Add(-11 * time.Minute).Unix()}},
		"issued in five minutes":       {"not issued within", claims{"iat": now.Add(5 * time.Minute).Unix()}},
		"issued at no time":            {"not issued within", claims{"iat": nil}},
		"no nonce":                     {"nonce is not", claims{"nonce": nil}},
		"another nonce":                {"nonce is not", claims{"nonce": "x"}},
		"no subject":                   {"subject is not", claims{"sub": ""}},
		"a long subject":               {"subject is not", claims{"sub": strings.Repeat("x", 256)}},
		"a subject that prints badly":  {"subject is not", claims{"sub": "a\x00b"}},
		"authenticated in the future":  {"in the future", claims{"auth_time": now.Add(time.Hour).Unix()}},
		"another access token's":       {"not the access token's", claims{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
		"claims of wrong types":        {"wrong types", claims{"azp": 7}},
		"the required organisation":    {"claim hd is not", claims{"hd": "evil.example"}},
		"no organisation":              {"claim hd is not", claims{"hd": nil}},
		"an organisation that is many": {"claim hd is not", claims{"hd": []string{"plant.example"}}},
		"a weaker acr":                 {"did not authenticate the user as was asked: acr weak", claims{"acr": "weak"}},
		"no acr":                       {"did not authenticate the user as was asked", claims{"acr": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := stageOf(t), newProvider(t)
			s.add(s.slug, p, func(row *oidc.Provider) {
				row.ACR, row.Claims.Require = map[string]string{"strong": "mfa"}, map[string]string{"hd": "plant.example"}
			})
			right := claims{"acr": "strong", "hd": "plant.example"}
			p.says(right)
			trip := s.begin(s.slug, p)
			if trip.at.Get("acr_values") != "strong" {
				t.Errorf("acr_values is %q", trip.at.Get("acr_values"))
			}
			if proof, err := s.finish(trip); err != nil || proof.Identity.ACR != "mfa" {
				t.Fatalf("the right claims: %+v, %v", proof.Identity, err)
			}
			for name, value := range test.claims {
				right[name] = value
			}
			p.says(right)
			_, err := s.finish(s.begin(s.slug, p))
			s.refused(err, wire.Unauthenticated, test.reason)
		})
	}
}

func TestTheNonceOfAnotherTripIsRefused(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p)
	p.says(map[string]any{"nonce": s.begin("company", p).at.Get("nonce")})
	_, err := s.finish(s.begin("company", p))
	s.refused(err, wire.Unauthenticated, "nonce is not")
}

func TestAnOldAuthenticationIsRefusedWhereAFreshOneWasAsked(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p)
	fresh := func(a *oidc.Ask) { a.MaxAge = 90 * time.Second }
	for at, reason := range map[any]string{
		nil:                                      "does not say when",
		time.Now().Add(-time.Hour).Unix():        "authenticated longer ago than 1m30s",
		time.Now().Add(-30 * time.Second).Unix(): "",
	} {
		p.says(map[string]any{"auth_time": at})
		trip := s.begin("company", p, fresh)
		if trip.at.Get("max_age") != "90" {
			t.Errorf("max_age is %q", trip.at.Get("max_age"))
		}
		_, err := s.finish(trip)
		if reason != "" {
			s.refused(err, wire.Unauthenticated, reason)
		} else if err != nil {
			t.Error(err)
		}
	}
}
