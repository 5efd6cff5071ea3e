package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"sync"
	"time"

	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// transaction is one trip to a provider. The browser carries it, sealed.
type transaction struct {
	Provider wire.Key      `json:"p"`
	State    string        `json:"s"`
	Nonce    string        `json:"n"`
	Verifier string        `json:"v"` // of PKCE
	ReturnTo string        `json:"r"`
	MaxAge   time.Duration `json:"a,omitempty"`
	Begun    time.Time     `json:"t"`
}

// maxUsed bounds the memory of transactions that were used. Beyond it the oldest are forgotten: refusing would let a flood
// keep everybody out, and who has all of an old transaction in hand could as well begin a new one.
const maxUsed = 100_000

const maxTransaction = 4000 // characters: browsers keep cookies of 4096

// transactions seals transactions with a key that lives as long as this process, and remembers which were used: after a restart
// none of those before counts.
type transactions struct {
	now  func() time.Time
	keys *secret.Keyring

	mu     sync.Mutex // guards used, oldest
	used   map[[sha256.Size]byte]time.Time
	oldest [][sha256.Size]byte // in the order of expiry
}

const transactionContext = "oidc|transaction"

func newTransactions(now func() time.Time) *transactions {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // crypto/rand.Read never fails (Go 1.24 and later)
	keys, err := secret.NewKeyring(key)
	if err != nil {
		panic("oidc: a key of 32 bytes is no key: " + err.Error())
	}
	return &transactions{now: now, keys: keys, used: map[[sha256.Size]byte]time.Time{}}
}

// draw gives 256 random bits as text.
func draw() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

func (t *transactions) seal(tx transaction) (secret.Value, error) {
	text, err := json.Marshal(tx)
	if err != nil {
		return secret.Value{}, err
	}
	sealed, err := t.keys.Seal(secret.New(text), transactionContext)
	if err != nil {
		return secret.Value{}, err
	}
	cookie := base64.RawURLEncoding.EncodeToString(sealed)
	if len(cookie) > maxTransaction {
		return secret.Value{}, refuse("the address to return to is too long")
	}
	return secret.FromString(cookie), nil
}

// open gives the transaction of a cookie of ours that is young enough.
func (t *transactions) open(text string) (transaction, error) {
	if text == "" {
		return transaction{}, refuse("the browser brought no transaction: another browser began, or it took too long")
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxTransaction {
		return transaction{}, refuse("the transaction is not one of ours")
	}
	plain, err := t.keys.Open(sealed, transactionContext)
	if err != nil {
		return transaction{}, refuse("the transaction is not one of this server's since its start")
	}
	var tx transaction
	if err := json.Unmarshal(plain.Reveal(), &tx); err != nil {
		return transaction{}, refuse("the transaction is not one of ours")
	}
	if age := t.now().Sub(tx.Begun); age < 0 || age >= TransactionLife {
		return transaction{}, refuse("the transaction is older than %s", TransactionLife)
	}
	return tx, nil
}

// use takes the transaction; of those who come with the same one, the first.
func (t *transactions) use(tx transaction) error {
	id := sha256.Sum256([]byte(tx.State))
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for len(t.oldest) > 0 && (len(t.oldest) >= maxUsed || !now.Before(t.used[t.oldest[0]])) {
		delete(t.used, t.oldest[0])
		t.oldest = t.oldest[1:]
	}
	if _, before := t.used[id]; before {
		return refuse("the transaction was used before")
	}
	t.used[id] = now.Add(TransactionLife)
	t.oldest = append(t.oldest, id)
	return nil
}
