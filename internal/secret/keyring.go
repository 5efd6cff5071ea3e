package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
)

// Keyring seals secrets for storage with keys that live outside the database. It is safe for concurrent use; its keys
// change as a whole.
type Keyring struct{ current atomic.Pointer[keys] }

// keys are immutable.
type keys struct {
	primary Wrapper
	all     map[KeyID]Wrapper
	order   []KeyID
}

// NewKeyring makes a keyring of 32-byte keys; it seals with the first and opens with any.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	wrappers := make([]Wrapper, len(keys))
	for i, key := range keys {
		local, err := newLocalKey(key)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		wrappers[i] = local
	}
	return KeyringOf(wrappers...)
}

// KeyringOf is NewKeyring for keys that are kept elsewhere.
func KeyringOf(wrappers ...Wrapper) (*Keyring, error) {
	if len(wrappers) == 0 {
		return nil, errors.New("no key")
	}
	made := &keys{primary: wrappers[0], all: map[KeyID]Wrapper{}}
	for _, w := range wrappers {
		if _, twice := made.all[w.ID()]; !twice {
			made.order = append(made.order, w.ID())
			made.all[w.ID()] = w
		}
	}
	k := &Keyring{}
	k.current.Store(made)
	return k, nil
}

// Become takes the keys of another keyring, for all who hold this one.
func (k *Keyring) Become(other *Keyring) { k.current.Store(other.current.Load()) }

// Primary names the key that seals.
func (k *Keyring) Primary() KeyID { return k.current.Load().primary.ID() }

// Keys names all keys, the one that seals first.
func (k *Keyring) Keys() []KeyID { return append([]KeyID(nil), k.current.Load().order...) }

// Seal encrypts v with a key of its own, wrapped by the primary key. Context names where the value is kept, such as table,
// row and column: a value that is moved elsewhere does not open there.
func (k *Keyring) Seal(v Value, context string) ([]byte, error) {
	primary := k.current.Load().primary
	var dataKey [keySize]byte
	_, _ = rand.Read(dataKey[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	defer clear(dataKey[:])
	wrapped, err := primary.Wrap(dataKey[:])
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(dataKey[:])
	if err != nil {
		return nil, err
	}
	out, err := head(primary.ID(), wrapped)
	if err != nil {
		return nil, err
	}
	return encrypt(out, aead, v.bytes, []byte(context)), nil
}

// Open decrypts what Seal gave for the same context, or returns ErrSealed.
func (k *Keyring) Open(sealed []byte, context string) (Value, error) {
	v, err := parseSealed(sealed)
	if err != nil {
		return Value{}, err
	}
	key, ok := k.current.Load().all[v.key]
	if !ok {
		return Value{}, ErrSealed
	}
	if v.format == formatDirect {
		return openDirect(key, v.body, context)
	}
	dataKey, err := key.Unwrap(v.wrapped)
	if err != nil || len(dataKey) != keySize {
		return Value{}, ErrSealed
	}
	defer clear(dataKey)
	aead, err := newAEAD(dataKey)
	if err != nil {
		return Value{}, ErrSealed
	}
	plain, err := decrypt(aead, v.body, []byte(context))
	if err != nil {
		return Value{}, ErrSealed
	}
	return Value{plain}, nil
}

func openDirect(key Wrapper, body []byte, context string) (Value, error) {
	local, ok := key.(*localKey)
	if !ok {
		return Value{}, ErrSealed
	}
	plain, err := decrypt(local.aead, body, []byte(context))
	if err != nil {
		return Value{}, ErrSealed
	}
	return Value{plain}, nil
}

// Rewrap gives a sealed value the primary key. An envelope keeps its data key and its ciphertext, and its value is not
// decrypted; a value of the first format is opened in its context and sealed anew. What has the primary key is given back
// as it is.
func (k *Keyring) Rewrap(sealed []byte, context string) ([]byte, error) {
	v, err := parseSealed(sealed)
	if err != nil {
		return nil, err
	}
	if v.format == formatDirect {
		plain, err := k.Open(sealed, context)
		if err != nil {
			return nil, err
		}
		return k.Seal(plain, context)
	}
	now := k.current.Load()
	key, ok := now.all[v.key]
	if !ok {
		return nil, ErrSealed
	}
	if v.key == now.primary.ID() {
		return sealed, nil
	}
	dataKey, err := key.Unwrap(v.wrapped)
	if err != nil {
		return nil, ErrSealed
	}
	defer clear(dataKey)
	wrapped, err := now.primary.Wrap(dataKey)
	if err != nil {
		return nil, err
	}
	out, err := head(now.primary.ID(), wrapped)
	return append(out, v.body...), err
}
