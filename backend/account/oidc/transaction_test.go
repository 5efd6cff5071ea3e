package oidc

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAFloodOfLoginsKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transactions := newTransactions(time.Now)
		mine := transaction{State: draw()}
		for range maxUsed + 1000 {
			if err := transactions.use(transaction{State: draw()}); err != nil {
				t.Fatal(err)
			}
		}
		if len(transactions.used) > maxUsed || len(transactions.oldest) > maxUsed {
			t.Errorf("%d are remembered", len(transactions.used))
		}
		if err := transactions.use(mine); err != nil {
			t.Error(err)
		}
		if transactions.use(mine) == nil {
			t.Error("a transaction counts twice")
		}
		time.Sleep(TransactionLife)
		if err := transactions.use(transaction{State: draw()}); err != nil || len(transactions.used) != 1 {
			t.Errorf("%d are remembered when all are over: %v", len(transactions.used), err)
		}
	})
}
