package dbtest

import (
	"context"
	"log/slog"
	"testing"

	"bulkhead/db/provision"
	"bulkhead/internal/secret"
)

// NewProvisioner makes a Provisioner on a test's database. What it places is removed when the test ends.
func NewProvisioner(t testing.TB, d *Database, change ...func(*provision.Config)) *provision.Provisioner {
	t.Helper()
	config := provision.Config{DB: d.DB, Keys: Keys(t), Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&config)
	}
	p, err := provision.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Purge(context.Background()); err != nil {
			t.Errorf("dbtest: %v", err)
		}
		p.Close()
	})
	return p
}

// testKey seals what tests store; everybody knows it.
var testKey = make([]byte, 32)

// Keys is a keyring with a key that everybody knows.
func Keys(t testing.TB) *secret.Keyring {
	t.Helper()
	keys, err := secret.NewKeyring(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
