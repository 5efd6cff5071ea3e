package privilege_test

import (
	"testing"

	"bulkhead/backend/privilege"
	"bulkhead/wire"
)

// big is a project of 10,000 devices in 100 groups with 50,000 grants to 1,000 members.
func big() ([]privilege.Principal, []privilege.Project) {
	p := privilege.Project{Key: 1 << 20, Revision: 1}
	var principals []privilege.Principal
	for i := range 1000 {
		key := wire.Key(i + 1)
		principals = append(principals, privilege.Principal{Key: key})
		p.Members = append(p.Members, privilege.Member{Project: p.Key, Principal: key})
	}
	for i := range 10_000 {
		p.Devices = append(p.Devices, privilege.GroupDevice{Group: wire.Key(50_000 + i%100), Device: wire.Key(100_000 + i)})
	}
	for i := range 50_000 {
		on := privilege.DeviceAsset(p.Key, wire.Key(100_000+i%10_000))
		if i%50 == 0 {
			on = privilege.GroupAsset(p.Key, wire.Key(50_000+i%100))
		}
		p.Grants = append(p.Grants, privilege.Grant{Key: wire.Key(i + 1), Principal: wire.Key(i*7%1000 + 1), Asset: on, Flags: []wire.Flag{wire.DeviceRead, wire.DeviceWrite}})
	}
	return principals, []privilege.Project{p}
}

func BenchmarkMay(b *testing.B) {
	s := privilege.NewSnapshot(big())
	allowed := 0
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		on := privilege.DeviceAsset(1<<20, wire.Key(100_000+i*31%10_000))
		if s.May(privilege.Subject{Key: wire.Key(i%1000 + 1)}, wire.DeviceRead, on, now) {
			allowed++
		}
	}
	b.ReportMetric(float64(allowed)/float64(i), "allowed/op")
}

func BenchmarkBuild(b *testing.B) {
	principals, projects := big()
	for b.Loop() {
		privilege.NewSnapshot(principals, projects)
	}
}

func BenchmarkOneGrantMore(b *testing.B) {
	principals, projects := big()
	s := privilege.NewSnapshot(principals, projects)
	p := projects[0]
	var mine []privilege.Grant
	for _, g := range p.Grants {
		if g.Principal == 8 {
			mine = append(mine, g)
		}
	}
	p.Members, p.Grants, p.Devices = []privilege.Member{{Project: p.Key, Principal: 8}}, mine, nil
	for b.Loop() {
		s = s.WithHolder(p, 8)
	}
}

func TestADecisionTakesNoMemory(t *testing.T) {
	s := privilege.NewSnapshot(big())
	on := privilege.DeviceAsset(1<<20, 100_007)
	if n := testing.AllocsPerRun(1000, func() { s.May(privilege.Subject{Key: 50}, wire.DeviceRead, on, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
