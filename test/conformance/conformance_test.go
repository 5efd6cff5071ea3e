// Package conformance holds the router against the WAMP specification, feature by feature, over a real WebSocket, and writes
// what it finds into docs/conformance.md; a difference between the two fails. The client here is the specification's words
// turned into lists: it shares no code with the router.
package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

//go:generate go test -run ^TestEveryFeatureIsWhatTheTableSays$ -update .

var update = flag.Bool("update", false, "write the table of features into docs/conformance.md")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// feature is one of the specification's.
type feature struct {
	name string
	does []aspect
}

// aspect is one thing that a feature promises to a client.
type aspect struct {
	says  string
	holds func(*check)
	// lacks is why it does not hold; empty where it does. One that begins to hold is a difference, too.
	lacks string
	// optional is what the specification leaves to the router: a feature is whole without it.
	optional bool
}

// group is a part of the specification.
type group struct {
	name     string
	features []feature
}

var specification = []group{
	{"Basic profile", basic},
	{"Advanced profile: remote procedure calls", advancedCalls},
	{"Advanced profile: publish and subscribe", advancedEvents},
	{"Advanced profile: meta API", metaAPI},
	{"Advanced profile: authentication and authorization", access},
	{"Advanced profile: transports and the rest", transports},
}

func TestEveryFeatureIsWhatTheTableSays(t *testing.T) {
	w := newWorld(t)
	t.Run("features", func(t *testing.T) { // ends when all of them have
		for _, g := range specification {
			for _, f := range g.features {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					f.test(t, w)
				})
			}
		}
	})
	if t.Failed() {
		return // what the table says is not what there is
	}
	table(t)
}

func (f feature) test(t *testing.T, w *world) {
	for _, a := range f.does {
		t.Run(a.says, func(t *testing.T) {
			t.Parallel()
			err := w.attempt(t, a)
			switch {
			case a.lacks == "" && err != nil:
				t.Error(err)
			case a.lacks != "" && err == nil:
				t.Errorf("it holds now: the reason why it does not is out of date: %s", a.lacks)
			}
		})
	}
}

// attempt gives the first thing that is not as the aspect says.
func (w *world) attempt(t *testing.T, a aspect) (err error) {
	t.Helper()
	c := &check{t: t, world: w}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			err = p
		default:
			panic(p)
		}
	}()
	a.holds(c)
	return nil
}

// broken says what is not as it should be.
type broken string

func (b broken) Error() string { return string(b) }

// check is one attempt.
type check struct {
	t     *testing.T
	world *world
	realm string // "" until the first use
}

// fail ends the attempt.
func (c *check) fail(format string, args ...any) { panic(broken(fmt.Sprintf(format, args...))) }

func (c *check) must(ok bool, format string, args ...any) {
	if !ok {
		c.fail(format, args...)
	}
}

func (c *check) no(err error) {
	if err != nil {
		c.fail("%v", err)
	}
}

func (c *check) same(what string, got, want any) {
	if fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want, want) {
		c.fail("%s is %v (%T), want %v (%T)", what, got, got, want, want)
	}
}

// announced is a feature that WELCOME names.
func announced(role, name string) aspect {
	return aspect{says: "announced by the " + role, holds: func(c *check) {
		roles := dictAt(c, list{c.join().welcome["roles"]}, 0)
		features, _ := dictAt(c, list{roles[role]}, 0)["features"].(dict)
		c.same(role+"."+name, features[name], true)
	}}
}

// lacking is a feature that there is not.
func lacking(role, name, why string) aspect {
	a := announced(role, name)
	a.says, a.lacks = "any of it", why
	return a
}

func reflects(kind string) aspect {
	return aspect{says: "any of it", lacks: "a sketch in the specification; what there is, is told by the meta API to those who may know it",
		holds: func(c *check) {
			c.join().meta("wamp.reflection." + kind + ".list")
		}}
}

// patience is how long something may take that must come.
const patience = time.Minute

// page is where the table stands, between these lines.
const (
	page       = "../../docs/conformance.md"
	tableBegin = "<!-- features: written by go generate ./test/conformance -->\n"
	tableEnd   = "<!-- end of features -->\n"
)

func table(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	now, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", page)
	}
	want := features()
	switch {
	case now == want:
	case *update:
		if err := os.WriteFile(page, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table in %s is not what was found: run go generate ./test/conformance", page)
	}
}

// features is the table.
func features() string {
	var b strings.Builder
	for _, g := range specification {
		fmt.Fprintf(&b, "\n### %s\n\n| feature | here | what was tried |\n| --- | --- | --- |\n", g.name)
		for _, f := range g.features {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", f.name, f.verdict(), f.notes())
		}
	}
	b.WriteString("\n")
	return b.String()
}

func (f feature) verdict() string {
	holding, lacking := 0, 0
	for _, a := range f.does {
		switch {
		case a.lacks == "":
			holding++
		case !a.optional:
			lacking++
		}
	}
	switch {
	case holding == 0:
		return "**no**"
	case lacking > 0:
		return "partly"
	default:
		return "yes"
	}
}

// notes has what holds, then what does not, then what is optional and does not.
func (f feature) notes() string {
	var holds, lacks, leaves []string
	for _, a := range f.does {
		switch {
		case a.lacks == "":
			holds = append(holds, a.says)
		case a.optional:
			leaves = append(leaves, fmt.Sprintf("left out, as it is optional: %s (%s)", a.says, a.lacks))
		default:
			lacks = append(lacks, fmt.Sprintf("**not: %s** (%s)", a.says, a.lacks))
		}
	}
	return strings.Join(slices.Concat(holds, lacks, leaves), "; ")
}
