package provision

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"bulkhead/backend/databackend"
	"bulkhead/internal/secret"
)

func TestNamesAreOpaqueAndFitWithEverySuffix(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		name := drawName()
		if !regexp.MustCompile(`^p_[a-z2-7]{16}$`).MatchString(name) || seen[name] {
			t.Fatal(name)
		}
		seen[name] = true
	}
	if n := len(partitionName(strings.Repeat("t", databackend.MaxTableName), aligned(epoch, defaultChunk))); n > 63 {
		t.Errorf("a partition's name has %d bytes", n)
	}
	if n := len(loginRole(drawName(), rw, 1)); n > 63 {
		t.Errorf("a login's name has %d bytes", n)
	}
}

func TestNoPartHasTheNameOfADeclaredTable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{partitionName("a", aligned(epoch, defaultChunk)), defaultPartition("a")} {
		if regexp.MustCompile(`^[a-z]`).MatchString(name) {
			t.Errorf("%s could be declared", name)
		}
	}
}

func TestQuotingKeepsNamesAndTextsWhatTheyAre(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`a`: `"a"`, `a"b`: `"a""b"`, `"; DROP TABLE x; --`: `"""; DROP TABLE x; --"`} {
		if got := ident(in); got != want {
			t.Errorf("ident(%s) = %s", in, got)
		}
	}
	for in, want := range map[string]string{`a`: `'a'`, `a'b`: `'a''b'`, "a\x00b": `'ab'`, `a\'b`: `'a\''b'`} {
		if got := literal(in); got != want {
			t.Errorf("literal(%s) = %s", in, got)
		}
	}
}

// The example of RFC 7677: user "user", password "pencil".
func TestTheVerifierIsThatOfTheRFC(t *testing.T) {
	t.Parallel()
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	got, err := verifierWith(secret.FromString("pencil"), salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(got, "$")
	if len(parts) != 3 || parts[0] != "SCRAM-SHA-256" || parts[1] != "4096:W22ZaJ0SNY7soEsUEjb6gQ==" {
		t.Fatal(got)
	}
	// The RFC gives the proof and the server's signature; both keys follow from them.
	authMessage := "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	stored64, server64, _ := strings.Cut(parts[2], ":")
	server, _ := base64.StdEncoding.DecodeString(server64)
	if got := base64.StdEncoding.EncodeToString(keyed(server, authMessage)); got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("server signature %s", got)
	}
	stored, _ := base64.StdEncoding.DecodeString(stored64)
	proof, _ := base64.StdEncoding.DecodeString("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	clientKey := keyed(stored, authMessage)
	for i := range clientKey {
		clientKey[i] ^= proof[i]
	}
	if sum := sha256.Sum256(clientKey); string(sum[:]) != string(stored) {
		t.Error("the stored key does not verify the proof")
	}
}
