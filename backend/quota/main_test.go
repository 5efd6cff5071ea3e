package quota_test

import (
	"testing"

	"go.uber.org/goleak"

	"bulkhead/db/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }
