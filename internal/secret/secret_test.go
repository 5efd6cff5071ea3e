package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/internal/secret"
)

const canary = "canary-3b1f"

func TestASecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	v := secret.FromString(canary)
	holder := struct {
		Name   string
		Secret secret.Value
		Ptr    *secret.Value
	}{"x", v, &v}

	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", v, v)
		fmt.Fprintf(&out, verb+"\n", holder, holder)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("login", "secret", v, "holder", holder)
	}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)

	hexed := fmt.Sprintf("%x", canary)
	for _, leak := range []string{canary, hexed, strings.ToUpper(hexed), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed %q:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), secret.Redacted) {
		t.Error("nothing stands in the secret's place")
	}
}

func TestAnEmptySecretEqualsNothing(t *testing.T) {
	t.Parallel()
	var none secret.Value
	if none.Equal(none) || none.Equal(secret.FromString("")) || secret.FromString("a").Equal(none) {
		t.Error("an empty secret was accepted")
	}
	if !secret.FromString("a").Equal(secret.FromString("a")) {
		t.Error("equal secrets differ")
	}
}

func keyFile(t *testing.T) string { return filepath.Join(t.TempDir(), "key") }

func ensure(t *testing.T, path string) *secret.Keyring {
	t.Helper()
	k, err := secret.EnsureKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestASealedSecretOpensAfterARestart(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	sealed, err := ensure(t, path).Seal(secret.FromString(canary), "device|1|secret")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(canary)) {
		t.Error("the secret stands in the sealed value")
	}
	got, err := ensure(t, path).Open(sealed, "device|1|secret")
	if err != nil || string(got.Reveal()) != canary {
		t.Fatalf("got %q, %v", got.Reveal(), err)
	}
}

func TestASealedSecretDoesNotOpenElsewhereOrAltered(t *testing.T) {
	t.Parallel()
	k := ensure(t, keyFile(t))
	sealed, err := k.Seal(secret.FromString(canary), "device|1|secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(sealed, "device|2|secret"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("moved to another row: %v", err)
	}
	if _, err := ensure(t, keyFile(t)).Open(sealed, "device|1|secret"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("opened with another key: %v", err)
	}
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := k.Open(altered, "device|1|secret"); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("byte %d altered: %v", i, err)
		}
		if _, err := k.Open(sealed[:i], "device|1|secret"); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestAKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	ensure(t, path)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.EnsureKeyring(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
}

func TestABrokenKeyFileIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# only a comment\n", "not base64!\n", "c2hvcnQ=\n"} {
		path := keyFile(t)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.EnsureKeyring(path); err == nil {
			t.Errorf("accepted %q", text)
		}
		if kept, _ := os.ReadFile(path); string(kept) != text {
			t.Errorf("%q was replaced by %q", text, kept)
		}
	}
}

func TestAnOldKeyStillOpensAfterRotation(t *testing.T) {
	t.Parallel()
	older, newer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	before, err := secret.NewKeyring(older)
	if err != nil {
		t.Fatal(err)
	}
	after, err := secret.NewKeyring(newer, older)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := before.Seal(secret.FromString(canary), "c")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(sealed, "c"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("got %v, %v", got, err)
	}
	fresh, err := after.Seal(secret.FromString(canary), "c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Open(fresh, "c"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("the old key opens what the new one sealed: %v", err)
	}
}
