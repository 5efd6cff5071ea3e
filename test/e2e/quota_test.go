package e2e

import (
	"strings"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/dev"
	"bulkhead/wire"
)

// full gives a project a quota that it has used up long ago, and takes it away again.
func full(t *testing.T, d *runningDev, p, neighbour dev.ReadyProject) {
	in := p.Installations[0]
	uri := wire.AppendProcedure(p.Key, in.AppKey, in.Table).URI
	d.site.run(t, "bulkhead", "call", realmOf(p), uri, "{}")
	d.site.run(t, "bulkhead", "project", "quota", "set", p.Name, "1kB")
	_, said, err := d.site.try("bulkhead", "call", realmOf(p), uri, "{}")
	wantExit(t, err, 6)
	if !strings.Contains(said, "storage quota") || !strings.Contains(said, wire.ErrStorageFull) {
		t.Errorf("said %q", said)
	}
	if len(rows(t, d, p, "--limit", "1")) != 1 {
		t.Error("what is stored cannot be read")
	}
	show := func() httpapi.ProjectStorage {
		return cli[httpapi.ProjectStorage](t, d, "project", "quota", "show", p.Name)
	}
	until(t, time.Minute, "the full project on record", func() bool { return show().Level == "full" })
	if s := show(); s.QuotaBytes != 1000 || s.Default || s.UsedBytes < 1000 {
		t.Errorf("it has %+v", s)
	}
	arriveOnceASecond(t, d, neighbour)
	d.site.run(t, "bulkhead", "project", "quota", "set", p.Name, "default")
	d.site.run(t, "bulkhead", "call", realmOf(p), uri, "{}")
	until(t, time.Minute, "room on record", func() bool { return show().Level == "room" })
	var used []string
	for _, s := range cli[[]httpapi.ProjectStorage](t, d, "project", "quota", "list") {
		used = append(used, s.Project)
	}
	if len(used) < 2 {
		t.Errorf("listed %q", used)
	}
}
