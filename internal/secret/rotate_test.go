package secret_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"bulkhead/internal/secret"
)

func TestAValueOfTheFirstFormatStillOpensAndIsSealedAnew(t *testing.T) {
	t.Parallel()
	older, newer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	before, after := ring(t, older), ring(t, newer, older)
	sealed := secret.SealDirect(t, older, canary, "device|1|secret")
	if id, envelope, err := secret.KeyOf(sealed); err != nil || envelope || id != before.Primary() {
		t.Fatalf("%v %v %v", id, envelope, err)
	}
	if got, err := after.Open(sealed, "device|1|secret"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("it does not open: %v", err)
	}
	if _, err := after.Rewrap(sealed, "device|2|secret"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("sealed anew in a context that is not its own: %v", err)
	}
	rewrapped, err := after.Rewrap(sealed, "device|1|secret")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ring(t, newer).Open(rewrapped, "device|1|secret"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("it needs the old key still: %v", err)
	}
}

func TestARewrappedEnvelopeNeedsTheNewKeyAlone(t *testing.T) {
	t.Parallel()
	older, newer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	sealed, err := ring(t, older).Seal(secret.FromString(canary), "c")
	if err != nil {
		t.Fatal(err)
	}
	after := ring(t, newer, older)
	rewrapped, err := after.Rewrap(sealed, "the context of an envelope is not needed")
	if err != nil {
		t.Fatal(err)
	}
	if id, envelope, err := secret.KeyOf(rewrapped); err != nil || !envelope || id != after.Primary() {
		t.Errorf("%v %v %v", id, envelope, err)
	}
	if again, err := after.Rewrap(rewrapped, ""); err != nil || !bytes.Equal(again, rewrapped) {
		t.Errorf("what has the key was changed: %v", err)
	}
	if got, err := ring(t, newer).Open(rewrapped, "c"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("it does not open: %v", err)
	}
	if _, err := ring(t, older).Open(rewrapped, "c"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("the old key opens it: %v", err)
	}
	if _, err := ring(t, newer).Rewrap(sealed, "c"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("rewrapped without its key: %v", err)
	}
}

func TestEachValueHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	k := ring(t, bytes.Repeat([]byte{1}, 32))
	one, errOne := k.Seal(secret.FromString(canary), "c")
	two, errTwo := k.Seal(secret.FromString(canary), "c")
	if errOne != nil || errTwo != nil {
		t.Fatal(errOne, errTwo)
	}
	const wrapped = 1 + 4 + 2 + 60
	for _, mixed := range [][]byte{append(bytes.Clone(one[:wrapped]), two[wrapped:]...), append(bytes.Clone(two[:wrapped]), one[wrapped:]...)} {
		if _, err := k.Open(mixed, "c"); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("a value opened with another's key: %v", err)
		}
	}
}

func TestAKeyIsAddedUsedAndDropped(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	held := ensure(t, path) // who holds the keyring sees its keys change
	first := held.Primary()
	sealed, err := held.Seal(secret.FromString(canary), "c")
	if err != nil {
		t.Fatal(err)
	}
	key, id := secret.NewKey()
	added, err := secret.AddKey(path, key)
	if err != nil {
		t.Fatal(err)
	}
	held.Become(added)
	second := held.Primary()
	if ids := held.Keys(); second != id || len(ids) != 2 || ids[1] != first {
		t.Fatalf("keys %v", ids)
	}
	if _, err := held.Open(sealed, "c"); err != nil {
		t.Errorf("the old key is gone: %v", err)
	}
	if _, err := secret.DropKey(path, second); err == nil || !strings.Contains(err.Error(), "cannot be dropped") {
		t.Errorf("dropped the key in use: %v", err)
	}
	dropped, err := secret.DropKey(path, first)
	if err != nil {
		t.Fatal(err)
	}
	held.Become(dropped)
	if _, err := held.Open(sealed, "c"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("a dropped key opens: %v", err)
	}
	if _, err := secret.DropKey(path, first); err == nil {
		t.Error("dropped twice")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestACredentialOfSystemdMayBelongToAGroup(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	ensure(t, path)
	if err := os.Chmod(path, 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.LoadCredential(path); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.LoadCredential(path); err == nil {
		t.Error("everybody may read the key")
	}
}

func ring(t *testing.T, keys ...[]byte) *secret.Keyring {
	t.Helper()
	k, err := secret.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func FuzzOpen(f *testing.F) {
	k, err := secret.NewKeyring(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := k.Seal(secret.FromString(canary), "c")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:7])
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		plain, errOpen := k.Open(text, "c")
		_, errRewrap := k.Rewrap(text, "c")
		if errOpen == nil && string(plain.Reveal()) != canary { // each process of the fuzzer seals it anew
			t.Errorf("opened %x", text)
		}
		if errOpen == nil && errRewrap != nil {
			t.Errorf("opens but is not rewrapped: %v", errRewrap)
		}
	})
}
