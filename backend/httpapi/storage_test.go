package httpapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/quota"
	"bulkhead/db"
	"bulkhead/wire"
)

// empty is a database server without tables, and a disk without files.
type empty struct{}

func (empty) Places(context.Context) ([]quota.Place, error)             { return nil, nil }
func (empty) Sizes(context.Context, string) (map[wire.Key]int64, error) { return nil, nil }
func (empty) SetReadOnly(context.Context, wire.Key, bool) error         { return nil }
func (empty) Waiting(wire.Key) int64                                    { return 0 }
func (empty) Exported() (map[wire.Key]int64, error)                     { return nil, nil }

func newQuotas(s *stage, log *slog.Logger) *quota.Quotas {
	s.t.Helper()
	q, err := quota.New(quota.Config{Store: db.NewQuotas(s.database.DB), Tables: empty{}, Disk: empty{}, Default: 10 << 30, Log: log, Now: s.clock.Now})
	if err != nil {
		s.t.Fatal(err)
	}
	return q
}

// A quota is of a project, and asked for is the server's limits.
var _ = func() bool { elsewhere["set-storage-quota"] = true; return true }()

var _ = alsoBad(map[string][]bad{
	"list-storage": {{"GET", "/storage?limit=0", "", 422, "invalid"}, {"GET", "/storage?cursor=x", "", 422, "invalid"}},
	"get-storage":  {{"GET", "/projects/none/storage", "", 404, "not_found"}},
	"set-storage-quota": {
		{"PUT", "/projects/none/storage", `{"quota_bytes":5}`, 404, "not_found"}, {"PUT", "/projects/plant-a/storage", `{"quota_bytes":-1}`, 422, "invalid"},
		{"PUT", "/projects/plant-a/storage", `{"quota_bytes":9007199254740992}`, 422, "invalid"}, {"PUT", "/projects/plant-a/storage", `{"quota_bytes":99999999999999999999}`, 422, "invalid"},
		{"PUT", "/projects/plant-a/storage", `{"quota_bytes":1.5}`, 422, "invalid"}, {"PUT", "/projects/plant-a/storage", `{"quota_bytes":"10GiB"}`, 422, "invalid"},
		{"PUT", "/projects/plant-a/storage", `{"quota":5}`, 422, "invalid"},
	},
})

func TestTheServersOwnerAloneSetsQuotasAndMembersSeeTheirs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	s.plant("plant-b")
	if err := s.config.Quotas.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin, as := s.somebody("admin", "*")
	s.join("plant-a", admin, wire.SetAdministrator)
	five := int64(5 << 30)
	s.refused(403, "denied", "PUT", "/projects/plant-a/storage", httpapi.StorageQuota{QuotaBytes: &five}, as)
	s.refused(404, "not_found", "PUT", "/projects/plant-b/storage", httpapi.StorageQuota{QuotaBytes: &five}, as)
	s.refused(404, "not_found", "GET", "/projects/plant-b/storage", nil, as)
	s.refused(403, "denied", "GET", "/storage", nil, as)

	got := must[httpapi.ProjectStorage](s, 200, "GET", "/projects/plant-a/storage", nil, as)
	if got.QuotaBytes != 10<<30 || !got.Default || got.Project != "plant-a" || got.Level != "room" {
		t.Errorf("a member sees %+v", got)
	}
	got = must[httpapi.ProjectStorage](s, 200, "PUT", "/projects/plant-a/storage", httpapi.StorageQuota{QuotaBytes: &five})
	if got.QuotaBytes != five || got.Default {
		t.Errorf("set to %+v", got)
	}
	list := must[httpapi.List[httpapi.ProjectStorage]](s, 200, "GET", "/storage?limit=1", nil)
	if len(list.Items) != 1 || list.Items[0].Project != "plant-a" || list.Items[0].QuotaBytes != five || list.Next == "" {
		t.Errorf("listed %+v", list)
	}
	list = must[httpapi.List[httpapi.ProjectStorage]](s, 200, "GET", "/storage?cursor="+list.Next, nil)
	if len(list.Items) != 1 || list.Items[0].Project != "plant-b" || !list.Items[0].Default || list.Next != "" {
		t.Errorf("listed %+v", list)
	}
	got = must[httpapi.ProjectStorage](s, 200, "PUT", "/projects/plant-a/storage", `{}`)
	if got.QuotaBytes != 10<<30 || !got.Default {
		t.Errorf("back to the default: %+v", got)
	}
}

// Whoever sets a quota last has it, and the record is a chain without gaps.
func TestQuotasThatAreSetAtTheSameTimeFollowEachOther(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	before := newestEntry(t, s)
	var all sync.WaitGroup
	for n := range 8 {
		bytes := int64(n+1) << 20
		all.Go(func() {
			if a := s.do("PUT", httpapi.Prefix+"/projects/plant-a/storage", httpapi.StorageQuota{QuotaBytes: &bytes}); a.status != 200 {
				t.Errorf("%d bytes: %d %s", bytes, a.status, a.body)
			}
		})
	}
	all.Wait()
	entries := entriesAfter(t, s, before)
	last := `{}`
	for _, e := range entries {
		if e.Action != audit.ProjectQuota || string(e.Before) != last {
			t.Fatalf("%s from %s to %s, after %s", e.Action, e.Before, e.After, last)
		}
		last = string(e.After)
	}
	var told quota.Told
	if err := json.NewDecoder(strings.NewReader(last)).Decode(&told); err != nil || len(entries) != 8 {
		t.Fatal(len(entries), err)
	}
	if got := must[httpapi.ProjectStorage](s, 200, "GET", "/projects/plant-a/storage", nil); got.QuotaBytes != *told.Bytes {
		t.Errorf("%d bytes are in force, and %d on record", got.QuotaBytes, *told.Bytes)
	}
}
