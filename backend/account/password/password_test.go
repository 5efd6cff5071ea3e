package password_test

import (
	"strings"
	"testing"

	"bulkhead/backend/account/password"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

var right = secret.FromString("correct horse battery staple")

func kept(hash string) func() (string, error) {
	return func() (string, error) { return hash, nil }
}

func TestAHashFitsItsPasswordAlone(t *testing.T) {
	t.Parallel()
	h := password.New(password.Here{})
	hash, err := h.Hash(t.Context(), password.Turn{}, right)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash, "horse") {
		t.Fatal(hash, err)
	}
	again, err := h.Hash(t.Context(), password.Turn{}, right)
	if err != nil || again == hash {
		t.Errorf("two hashes are the same: %v", err)
	}
	for text, want := range map[string]bool{"correct horse battery staple": true, "correct horse battery stapl": false, "": false, "Correct horse battery staple": false} {
		if ok, err := h.Verify(t.Context(), password.Turn{}, kept(hash), secret.FromString(text)); err != nil || ok != want {
			t.Errorf("%q: %t, %v", text, ok, err)
		}
	}
	if ok, err := h.Verify(t.Context(), password.Turn{}, kept(""), right); ok || err != nil {
		t.Errorf("nobody's: %t, %v", ok, err)
	}
	for _, bad := range []string{"x", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", strings.Replace(hash, "argon2id", "argon2i", 1), hash[:len(hash)-4]} {
		if ok, err := h.Verify(t.Context(), password.Turn{}, kept(bad), right); ok || errs.KindOf(err) != wire.Internal {
			t.Errorf("%q: %t, %v", bad, ok, err)
		}
	}
}

func TestAPasswordLongerThanAnyIsWrong(t *testing.T) {
	t.Parallel()
	h := password.New(password.Here{})
	long := strings.Repeat("correct horse ", 100)
	hash, err := h.Hash(t.Context(), password.Turn{}, secret.FromString(long[:password.MaxLength]))
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := h.Verify(t.Context(), password.Turn{}, kept(hash), secret.FromString(long)); ok || err != nil {
		t.Errorf("what is beyond is not looked at: %t, %v", ok, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	h := password.New(password.Here{})
	for b.Loop() {
		if _, err := h.Verify(b.Context(), password.Turn{}, kept(""), right); err != nil {
			b.Fatal(err)
		}
	}
}
