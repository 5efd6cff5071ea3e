package account_test

import (
	"context"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/wire"
)

// lateKeys are service accounts for which a key is made just before one is deleted.
type lateKeys struct {
	account.ServiceAccountStore
	before func()
}

func (l lateKeys) DeleteServiceAccount(ctx context.Context, key wire.Key, e audit.Entry) ([]string, error) {
	l.before()
	return l.ServiceAccountStore.DeleteServiceAccount(ctx, key, e)
}

func TestWhatALateKeyOfADeletedServiceAccountOpenedIsEndedToo(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	var a account.ServiceAccount
	var made []string
	makeKey := func() {
		record, _, err := p.keys.Create(t.Context(), p.owner, audit.Server, account.KeyRequest{Holder: a.Holder(), Name: "one", Scopes: []wire.Flag{wire.ProjectRead}, Life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, record.ID)
	}
	services := account.NewServiceAccounts(lateKeys{db.NewServiceAccounts(p.database.DB), makeKey}, p.keys, p.clock.Now)
	var err error
	if a, err = services.Create(t.Context(), audit.Server, "robot", 0); err != nil {
		t.Fatal(err)
	}
	makeKey()
	if err := services.Delete(t.Context(), p.owner, audit.Server, a); err != nil {
		t.Fatal(err)
	}
	for i, id := range made {
		if !p.hasEnded(id) {
			t.Errorf("nobody is told that key %d has ended", i)
		}
	}
	if len(made) != 2 {
		t.Errorf("%d keys were made", len(made))
	}
}
