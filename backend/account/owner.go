package account

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const ownerName = "bootstrap owner"

// EnsureOwner sees to it that somebody can administer a new server: where nobody is an owner who can log in or has a
// live key, it makes one and writes it to file with mode 0600. The file comes before the row, so a crash between the two leaves a key that the next start
// takes up, and never a row whose key nobody has. Where an owner's key is live nothing happens: the file may have been
// moved to a safer place.
func (k *Keys) EnsureOwner(ctx context.Context, file string) error {
	key, err := readKeyFile(file)
	if err != nil {
		return err
	}
	if key.ID != "" {
		switch _, err := k.store.APIKey(ctx, key.ID); {
		case err == nil:
			key = APIKey{} // known: live, or ended for good
		case errs.KindOf(err) != wire.NotFound:
			return errs.Wrap("account: owner", err)
		}
	}
	if key.ID != "" {
		return k.admitOwner(ctx, key, file)
	}
	return k.makeOwner(ctx, file)
}

func (k *Keys) makeOwner(ctx context.Context, file string) error {
	has, err := k.store.HasOwner(ctx, k.now()) // the store decides again, under a lock; asking first keeps the file of a key that works
	if err != nil || has {
		return errs.Wrap("account: owner", err)
	}
	key := NewAPIKey()
	if err := secret.WriteFile(file, key.Text().Reveal()); err != nil {
		return fmt.Errorf("account: owner: %w", err)
	}
	return k.admitOwner(ctx, key, file)
}

func (k *Keys) admitOwner(ctx context.Context, key APIKey, file string) error {
	record := k.newRecord(key, KeyRequest{
		Holder: Holder{Kind: KindServiceAccount, Key: wire.NewKey(), Name: ownerName, Owner: true},
		Name:   ownerName, Scopes: []wire.Flag{AllScopes}, Life: MaxLife,
	})
	first, err := k.store.InsertFirstOwner(ctx, record, created(audit.Server, record))
	if err != nil {
		return errs.Wrap("account: owner", err)
	}
	if !first {
		return errs.E(wire.Conflict, "%s: holds an API key that the database does not know, and the database has an owner already: move the file away, or put that owner's key there", file)
	}
	k.seen.forget(key.ID)
	return nil
}

// readKeyFile gives the zero APIKey where there is no file.
func readKeyFile(file string) (APIKey, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return APIKey{}, nil
	}
	if err != nil {
		return APIKey{}, fmt.Errorf("account: owner: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return APIKey{}, fmt.Errorf("account: owner: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return APIKey{}, errs.E(wire.Invalid, "%s: mode is %04o: others can read the owner's API key; run: chmod 600 %s", file, info.Mode().Perm(), file)
	}
	key, err := ParseAPIKey(strings.TrimSpace(string(text)))
	if err != nil {
		return APIKey{}, errs.As(wire.Invalid, err, "%s: not an API key: move the file away to have a new one made", file)
	}
	return key, nil
}
