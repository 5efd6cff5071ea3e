package secret

import "testing"

// SealDirect seals as the first version did.
func SealDirect(t testing.TB, key []byte, text, context string) []byte {
	t.Helper()
	k, err := newLocalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	head := append([]byte{formatDirect}, k.id[:]...)
	return encrypt(head, k.aead, []byte(text), []byte(context))
}
