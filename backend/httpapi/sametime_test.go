package httpapi_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

// statements keeps what the database is asked. What keys are known by is asked now and then and beside the requests.
type statements struct {
	mu   sync.Mutex // guards list
	list []string
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "api_key") {
		return ctx
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, data.SQL)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.list
	s.list = nil
	return taken
}

// sameTime fails where a request about what is another's asks the database for something else, or more, than one about what
// does not exist: how long it takes would tell.
func (s *stage) sameTime(what string, real, none func() answer) (of, without answer) {
	s.t.Helper()
	s.statements.take()
	of = real()
	asked := s.statements.take()
	without = none()
	if others := s.statements.take(); !slices.Equal(asked, others) {
		s.t.Errorf("%s: the database is asked for what is another's\n%q\nand for what does not exist\n%q", what, asked, others)
	}
	return of, without
}

// The same statements for what is another's and for what does not exist would mean nothing if statements were not seen.
func TestStatementsAreSeen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	s.statements.take()
	s.do("GET", httpapi.Prefix+"/projects/plant-a/devices/press-1", nil)
	if asked := s.statements.take(); len(asked) < 2 {
		t.Errorf("a project and a device were found by %q", asked)
	}
}

// BenchmarkForeignAgainstUnknown asks, as the administrator of another project, each operation that takes an id for what is
// another's, for what does not exist, and for something else that does not exist, in turns. It prints the ratio of the
// medians of the first two, and of the last two: that is the noise.
func BenchmarkForeignAgainstUnknown(b *testing.B) {
	s := newStage(b)
	foreign, unknown, as := s.neighbours()
	unknown, other := nowhere(unknown), nowhere(unknown)
	const rounds = 30
	var ratios, noise []float64
	for b.Loop() {
		ratios, noise = nil, nil
		for _, op := range operations(b, s) {
			if !namesSomething(op) {
				continue
			}
			took := [3][]time.Duration{}
			for round := range rounds * len(took) {
				for i := range took { // each is the first, the second and the last equally often
					i = (i + round) % len(took)
					begun := time.Now()
					s.ask(op, []names{foreign, unknown, other}[i], as)
					took[i] = append(took[i], time.Since(begun))
				}
			}
			m := [3]time.Duration{median(took[0]), median(took[1]), median(took[2])}
			ratios, noise = append(ratios, float64(m[0])/float64(m[1])), append(noise, float64(m[2])/float64(m[1]))
			fmt.Printf("%-28s foreign %8s  unknown %8s  ratio %.2f  noise %.2f\n", op.id, m[0].Round(time.Microsecond), m[1].Round(time.Microsecond), ratios[len(ratios)-1], noise[len(noise)-1])
		}
	}
	b.ReportMetric(median(ratios), "foreign/unknown")
	b.ReportMetric(slices.Max(ratios), "foreign/unknown-max")
	b.ReportMetric(slices.Min(ratios), "foreign/unknown-min")
	b.ReportMetric(slices.Max(noise), "noise-max")
	b.ReportMetric(slices.Min(noise), "noise-min")
}

// nowhere names what does not exist by keys as long as those of what does.
func nowhere(n names) names {
	key := func() string { return wire.NewKey().String() }
	n.project, n.device, n.group, n.app, n.grant = key(), key(), key(), key(), key()
	n.realm = "realm-" + key() + "-" + key() + "-prod"
	n.installation = n.realm
	return n
}

func median[T cmp.Ordered](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

// neighbours gives what is in one project, by keys, what does not exist, and the administrator of another project.
func (s *stage) neighbours() (foreign, unknown names, as change) {
	s.t.Helper()
	p, d, in := s.plant("plant-a")
	s.plant("plant-b")
	own := must[httpapi.App](s, 201, "POST", "/apps", httpapi.AppCreate{Name: "own", Owner: "plant-a"})
	s.hall()
	hall := must[httpapi.Group](s, 200, "GET", "/projects/plant-a/groups/hall", nil)
	victim, _ := s.somebody("victim", "*")
	s.join("plant-a", victim, "viewer")
	grants := must[httpapi.List[httpapi.Grant]](s, 200, "GET", "/projects/plant-a/grants", nil)
	stranger, as := s.somebody("stranger", "*")
	s.join("plant-b", stranger, wire.SetAdministrator)
	foreign = names{p.Key.String(), d.Device.Key.String(), hall.Key.String(), own.Key.String(), in.Realm, in.Realm, grants.Items[0].Key.String(), victim.String(), "5"}
	unknown = names{"5", "88", "89", "90", "realm-5-6-prod", "realm-5-6-prod", "88", victim.String(), "5"}
	return foreign, unknown, as
}

// namesSomething tells whether an operation is about something that its path, query or body names.
func namesSomething(op operation) bool {
	return strings.Contains(op.path, "{") || op.id == "create-grant" || op.id == "revoke-flags" || op.id == "explain-privilege" || op.id == "list-audit"
}
