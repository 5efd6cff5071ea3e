// Package opa measures decisions about privileges against those of Open Policy Agent on the same graph, in the same run. It
// is a module of its own, because it takes minutes to compile.
package opa

import (
	"context"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"bulkhead/backend/privilege"
	"bulkhead/wire"
)

const (
	project     wire.Key = 1 << 20
	members              = 1000
	devices              = 10_000
	groups               = 100
	grants               = 50_000
	firstDevice          = 100_000
	firstGroup           = 50_000
)

var now = time.Unix(1_800_000_000, 0)

// graph is the one that BenchmarkMay of backend/privilege decides over.
func graph() ([]privilege.Principal, privilege.Project) {
	p := privilege.Project{Key: project, Revision: 1}
	var principals []privilege.Principal
	for i := range members {
		key := wire.Key(i + 1)
		principals = append(principals, privilege.Principal{Key: key})
		p.Members = append(p.Members, privilege.Member{Project: p.Key, Principal: key})
	}
	for i := range devices {
		p.Devices = append(p.Devices, privilege.GroupDevice{Group: wire.Key(firstGroup + i%groups), Device: wire.Key(firstDevice + i)})
	}
	for i := range grants {
		on := privilege.DeviceAsset(p.Key, wire.Key(firstDevice+i%devices))
		if i%50 == 0 {
			on = privilege.GroupAsset(p.Key, wire.Key(firstGroup+i%groups))
		}
		p.Grants = append(p.Grants, privilege.Grant{Key: wire.Key(i + 1), Principal: wire.Key(i*7%members + 1), Asset: on, Flags: []wire.Flag{wire.DeviceRead, wire.DeviceWrite}})
	}
	return principals, p
}

// policy words the rules that this graph needs. It finds grants by principal, asset and flag without a search, which is as
// fast as OPA can be here: it skips what the graph does not have, such as owners, limits and times.
const policy = `package bulkhead

default allow := false

allow if {
	data.members[input.principal]
	data.grants[input.principal][input.asset][input.flag]
}

allow if {
	data.members[input.principal]
	some group in data.groups[input.asset]
	data.grants[input.principal][group][input.flag]
}
`

// document is the graph as OPA's data.
func document(p privilege.Project) map[string]any {
	known, within, granted := map[string]any{}, map[string]any{}, map[string]any{}
	for _, m := range p.Members {
		known[m.Principal.String()] = true
	}
	for _, d := range p.Devices {
		within[privilege.DeviceAsset(project, d.Device).String()] = []any{privilege.GroupAsset(project, d.Group).String()}
	}
	for _, g := range p.Grants {
		of := member(member(granted, g.Principal.String()), g.Asset.String())
		for _, f := range g.Flags {
			of[string(f)] = true
		}
	}
	return map[string]any{"members": known, "groups": within, "grants": granted}
}

func member(of map[string]any, name string) map[string]any {
	if of[name] == nil {
		of[name] = map[string]any{}
	}
	return of[name].(map[string]any)
}

func prepare(t testing.TB, p privilege.Project) rego.PreparedEvalQuery {
	t.Helper()
	store := inmem.NewFromObjectWithOpts(document(p), inmem.OptReturnASTValuesOnRead(true))
	q, err := rego.New(rego.Query("data.bulkhead.allow"), rego.Module("privileges.rego", policy), rego.Store(store)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

type question struct {
	by privilege.Subject
	on privilege.Asset
}

func ask(i int) question {
	return question{privilege.Subject{Key: wire.Key(i%members + 1)}, privilege.DeviceAsset(project, wire.Key(firstDevice+i*31%devices))}
}

// input is parsed beforehand: reading it is no part of deciding.
func (q question) input() ast.Value {
	text := func(s string) *ast.Term { return ast.StringTerm(s) }
	return ast.NewObject(ast.Item(text("principal"), text(q.by.Key.String())), ast.Item(text("asset"), text(q.on.String())), ast.Item(text("flag"), text(string(wire.DeviceRead))))
}

func decide(ctx context.Context, t testing.TB, q rego.PreparedEvalQuery, in ast.Value) bool {
	set, err := q.Eval(ctx, rego.EvalParsedInput(in))
	if err != nil {
		t.Fatal(err)
	}
	return set.Allowed()
}

func TestDecisionsAgreeWithOPA(t *testing.T) {
	t.Parallel()
	principals, p := graph()
	ours, theirs := privilege.NewSnapshot(principals, []privilege.Project{p}), prepare(t, p)
	allowed := 0
	const asked = 20_000
	for i := range asked {
		q := ask(i)
		got, want := ours.May(q.by, wire.DeviceRead, q.on, now), decide(t.Context(), t, theirs, q.input())
		if got != want {
			t.Fatalf("%s on %s: %v, OPA says %v", q.by.Key, q.on, got, want)
		}
		if got {
			allowed++
		}
	}
	if allowed == 0 || allowed == asked {
		t.Errorf("%d of %d questions were answered with yes", allowed, asked)
	}
}

const (
	batch  = 1000
	passes = 20
	bound  = 50 // times longer
)

// BenchmarkAgainstOPA decides the same questions both ways, in turns, and tells how many times longer OPA takes: also against
// the first pass of ours after each turn, which finds the processor's caches full of OPA's.
func BenchmarkAgainstOPA(b *testing.B) {
	principals, p := graph()
	ours, theirs := privilege.NewSnapshot(principals, []privilege.Project{p}), prepare(b, p)
	var questions [batch]question
	var inputs [batch]ast.Value
	pass := func() time.Duration {
		start := time.Now()
		for i := range questions {
			ours.May(questions[i].by, wire.DeviceRead, questions[i].on, now)
		}
		return time.Since(start)
	}
	var cold, warm, other time.Duration
	rounds := 0
	for b.Loop() {
		for i := range batch {
			questions[i] = ask(rounds*batch + i)
			inputs[i] = questions[i].input()
		}
		cold += pass()
		for range passes {
			warm += pass()
		}
		start := time.Now()
		for i := range batch {
			decide(b.Context(), b, theirs, inputs[i])
		}
		other += time.Since(start)
		rounds++
	}
	decisions := float64(rounds * batch)
	own := float64(warm.Nanoseconds()) / decisions / passes
	opa := float64(other.Nanoseconds()) / decisions
	b.ReportMetric(own, "ours-ns/decision")
	b.ReportMetric(opa, "OPA-ns/decision")
	b.ReportMetric(float64(other)/float64(cold), "cold-ratio")
	b.ReportMetric(opa/own, "ratio")
	if opa < bound*own {
		b.Errorf("OPA takes %.0f times as long, want %d", opa/own, bound)
	}
}
