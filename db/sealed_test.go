package db_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/rotation"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/secret"
)

var olderKey, newerKey = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)

func keyring(t *testing.T, keys ...[]byte) *secret.Keyring {
	t.Helper()
	k, err := secret.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// notSealed are the names of columns of bytes that are no secrets, or hashes of some.
var notSealed = []string{"hash", "fingerprint", "template", "leaf", "salt", "data", "hashes", "public", "signer", "head", "body", "signature"}

// A column that the rotation does not know keeps its old key for ever, and is lost when that key is dropped: it belongs
// into db/sealed.go.
func TestEverySealedColumnIsKnownToTheRotation(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	rows, err := d.Pool().Query(t.Context(), `SELECT c.table_name || '.' || c.column_name FROM information_schema.columns c
		JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = $1 AND c.data_type = 'bytea' AND t.table_type = 'BASE TABLE'`, db.Schema)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	known := db.KnownSealed()
	for _, column := range found {
		_, name, _ := strings.Cut(column, ".")
		if !slices.Contains(known, column) && !slices.Contains(notSealed, name) {
			t.Errorf("%s has bytes: if they are sealed the rotation must know it, if not its name belongs into notSealed", column)
		}
	}
	for _, column := range known {
		if !slices.Contains(found, column) {
			t.Errorf("%s is known to the rotation and does not exist", column)
		}
	}
	if _, err := db.NewSealed(d.DB).Uses(t.Context()); err != nil {
		t.Error(err)
	}
}

// sealDirect seals as the first version did: under the key itself.
func sealDirect(t *testing.T, key []byte, text, context string) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	id := keyring(t, key).Primary()
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	out := append([]byte{1}, id[:]...)
	return aead.Seal(append(out, nonce...), nonce, []byte(text), []byte(context))
}

// sealedOfEachKind are rows as the first version wrote them: the statement, where to find the value again, its context.
var sealedOfEachKind = []struct{ insert, sql, context string }{
	{`INSERT INTO device_secret (device_key, version, sealed) VALUES (3, 2, $1)`, `SELECT sealed FROM device_secret`,
		"device|1|0b5ae1bc-0001-4000-8000-000000000000|2"},
	{`INSERT INTO app_credential (app_key, epoch, sealed) VALUES (2, 7, $1)`, `SELECT sealed FROM app_credential`, "app|2|7"},
	{`INSERT INTO service (project_key, app_key, stage, name, sealed, created_at) VALUES (1, 2, 'prod', 'sample', $1, now())`,
		`SELECT sealed FROM service`, "service|realm-1-2-prod|sample"},
	{`INSERT INTO placement_login (role, realm, access, slot, state, sealed, verifier) VALUES ('p_rw0', 'realm-1-2-prod', 'rw', 0, 'current', $1, 'v')`,
		`SELECT sealed FROM placement_login`, "database login p_rw0"},
	{`INSERT INTO placement_server (ingestor, ingestor_sealed, ingestor_verifier) VALUES ('bh_in', $1, 'v')`,
		`SELECT ingestor_sealed FROM placement_server`, "database login bh_in"},
	{`INSERT INTO replay (principal, key, fingerprint, begun_at, sealed) VALUES ('abc', 'k1', decode(repeat('00', 32), 'hex'), now(), $1)`,
		`SELECT sealed FROM replay`, "replay|abc|k1"},
}

// withoutParents runs statements for rows whose parents are not there.
func withoutParents(t *testing.T, d *dbtest.Database, do func(tx pgx.Tx) error) {
	t.Helper()
	err := d.InTx(t.Context(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		return do(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatTheFirstVersionSealedIsSealedWithTheNewestKey(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	withoutParents(t, d, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO device (key, project_key, name, serial, created_at)
			VALUES (3, 1, 'press', '0b5ae1bc-0001-4000-8000-000000000000', now())`)
		for _, c := range sealedOfEachKind {
			if err == nil {
				_, err = tx.Exec(t.Context(), c.insert, sealDirect(t, olderKey, "text of "+c.context, c.context))
			}
		}
		return err
	})
	done, failed := rewrapAll(t, d, keyring(t, newerKey, olderKey))
	if done != len(sealedOfEachKind) || failed != 0 {
		t.Errorf("%d done, %d failed", done, failed)
	}
	newest := keyring(t, newerKey)
	for _, c := range sealedOfEachKind {
		var sealed []byte
		if err := d.Pool().QueryRow(t.Context(), c.sql).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if v, err := newest.Open(sealed, c.context); err != nil || string(v.Reveal()) != "text of "+c.context {
			t.Errorf("%s: %v", c.sql, err)
		}
	}
	if done, failed := rewrapAll(t, d, keyring(t, newerKey, olderKey)); done != 0 || failed != 0 {
		t.Errorf("done again: %d, %d", done, failed)
	}
}

func rewrapAll(t *testing.T, d *dbtest.Database, k *secret.Keyring) (done, failed int) {
	t.Helper()
	err := db.NewSealed(d.DB).Rewrap(t.Context(), k.Primary(), 100, k.Rewrap, func(b rotation.Batch) { done += b.Done; failed += b.Failed })
	if err != nil {
		t.Fatal(err)
	}
	return done, failed
}

// fill makes many sealed answers, each with a text of its own.
func fill(t *testing.T, d *dbtest.Database, k *secret.Keyring, count int) {
	t.Helper()
	withoutParents(t, d, func(tx pgx.Tx) error {
		for i := range count {
			name := fmt.Sprintf("k%d", i)
			sealed, err := k.Seal(secret.FromString("text of "+name), "replay|p|"+name)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO replay (principal, key, fingerprint, begun_at, sealed)
				VALUES ('p', $1, decode(repeat('00', 32), 'hex'), now(), $2)`, name, sealed); err != nil {
				return err
			}
		}
		return nil
	})
}

// opened counts the values that can be opened with k and have their own text.
func opened(t *testing.T, d *dbtest.Database, k *secret.Keyring) (count int) {
	t.Helper()
	rows, err := d.Pool().Query(t.Context(), `SELECT key, sealed FROM replay`)
	if err != nil {
		t.Fatal(err)
	}
	var name string
	var sealed []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &sealed}, func() error {
		if v, err := k.Open(sealed, "replay|p|"+name); err == nil && string(v.Reveal()) == "text of "+name {
			count++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestARotationThatIsCutOffLosesNothingAndGoesOn(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	fill(t, d, keyring(t, olderKey), 250)
	both := keyring(t, newerKey, olderKey)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.NewSealed(d.DB).Rewrap(ctx, both.Primary(), 20, both.Rewrap, func(b rotation.Batch) {
		if b.Done > 0 {
			cancel()
		}
	})
	if err == nil {
		t.Fatal("it went on")
	}
	if got := opened(t, d, both); got != 250 {
		t.Errorf("%d of 250 open after it was cut off", got)
	}
	if got := opened(t, d, keyring(t, newerKey)); got != 20 {
		t.Errorf("%d have the new key, want one batch of 20", got)
	}
	if done, failed := rewrapAll(t, d, both); done != 230 || failed != 0 {
		t.Errorf("%d done, %d failed", done, failed)
	}
	if got := opened(t, d, keyring(t, newerKey)); got != 250 {
		t.Errorf("%d of 250 have the new key", got)
	}
}

func TestWorkGoesOnWhileKeysRotate(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	fill(t, d, keyring(t, olderKey), 250)
	both := keyring(t, newerKey, olderKey)
	held, err := d.Pool().Begin(t.Context()) // somebody is at one row
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(t.Context()) }()
	if _, err := held.Exec(t.Context(), `UPDATE replay SET begun_at = now() WHERE key = 'k7'`); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for worker := range 3 { // others come and go
		all.Go(func() {
			for i := range 40 {
				if _, err := d.Pool().Exec(t.Context(), `UPDATE replay SET begun_at = now() WHERE key = $1`, fmt.Sprintf("k%d", 10+worker*80+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	first, _ := rewrapAll(t, d, both)
	all.Wait()
	if got := opened(t, d, both); got != 250 || first >= 250 {
		t.Errorf("%d of 250 open; %d were done at once", got, first)
	}
	if err := held.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, failed := rewrapAll(t, d, both)
	if first+second != 250 || failed != 0 || opened(t, d, keyring(t, newerKey)) != 250 {
		t.Errorf("%d and %d done, %d failed", first, second, failed)
	}
}

func TestAValueThatCannotBeOpenedStaysAndIsCounted(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	fill(t, d, keyring(t, olderKey), 5)
	fill2 := keyring(t, bytes.Repeat([]byte{9}, 32))
	sealed, err := fill2.Seal(secret.FromString("x"), "c")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{"k1": sealed, "k2": {2}, "k3": {}} {
		if _, err := d.Pool().Exec(t.Context(), `UPDATE replay SET sealed = $2 WHERE key = $1`, name, value); err != nil {
			t.Fatal(err)
		}
	}
	done, failed := rewrapAll(t, d, keyring(t, newerKey, olderKey))
	if done != 2 || failed != 3 {
		t.Errorf("%d done, %d failed", done, failed)
	}
}
