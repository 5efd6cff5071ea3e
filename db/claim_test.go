package db_test

import (
	"context"
	"testing"

	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
)

func TestOneServerAtATimeHasTheDatabase(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	release, err := d.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := d.Claim(waiting)
		second <- err
	}()
	cancel() // a user who does not want to wait is told the reason just the same
	if err := <-second; err == nil {
		t.Error("two servers have the database")
	}
	release()
	again, err := d.Claim(t.Context())
	if err != nil {
		t.Fatalf("after the first has let go: %v", err)
	}
	again()
}

func TestAnotherDatabaseIsClaimedApart(t *testing.T) {
	t.Parallel()
	one, two := dbtest.New(t), dbtest.New(t)
	for _, d := range []*dbtest.Database{one, two} {
		release, err := d.Claim(t.Context())
		if err != nil {
			t.Fatalf("%v (%s)", err, errs.KindOf(err))
		}
		defer release()
	}
}
