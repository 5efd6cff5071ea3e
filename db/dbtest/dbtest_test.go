package dbtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"bulkhead/db/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for range 2 {
		d := dbtest.New(t)
		if _, err := d.Pool().Exec(t.Context(), "CREATE TABLE bulkhead.mine (n int)"); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingIsLeftOfATestThatEnded(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("inner", func(t *testing.T) { name = dbtest.New(t).Name })
	var exists bool
	err := dbtest.Get(t).Admin().QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		t.Errorf("database %s exists: %t, %v", name, exists, err)
	}
}
