package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bulkhead/internal/localca"
)

// bench is one run.
type bench struct {
	options
	dir, self string
	files     localca.Files
	started   int
	children  []*child
	links     int
	out       *outcome
}

func newBench(o options) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bulkhead-tunnelbench-")
	if err != nil {
		return nil, err
	}
	hosts := []string{"127.0.0.1"}
	for i := range 32 {
		hosts = append(hosts, fmt.Sprintf("10.213.%d.1", i))
	}
	b := &bench{options: o, dir: dir, self: self, out: newOutcome()}
	if b.files, err = localca.Ensure(dir, hosts, time.Now()); err != nil {
		b.close()
	}
	return b, err
}

func (b *bench) close() {
	for _, c := range b.children {
		select {
		case <-c.ended:
		default:
			c.stop()
		}
	}
	_ = os.RemoveAll(b.dir)
}

// kind is one line of the table of goals.
type kind struct {
	name    string
	measure func(ctx context.Context, b *bench) (measure, error)
}

func (b *bench) measureAll(ctx context.Context) error {
	for _, k := range catalogue() {
		if !b.options.run.MatchString(k.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", k.name)
		m, err := k.measure(ctx, b)
		if errors.Is(err, errNoLink) {
			fmt.Fprintln(os.Stderr, k.name, "is not measured:", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		m.Name = k.name
		b.out.Measures = append(b.out.Measures, m)
		m.print(os.Stdout)
	}
	return nil
}

// scene is all subjects over one link.
type scene struct {
	far      *link
	target   *target
	subjects []*subject
}

// empty makes a target, on a line where there is to be one.
func (b *bench) empty(on *line) (sc *scene, err error) {
	sc = &scene{}
	if on != nil {
		b.links++
		if sc.far, err = newLink(b.links, *on); err != nil {
			return sc, err
		}
	}
	if sc.target, err = newTarget(sc.far); err != nil {
		sc.close()
	}
	return sc, err
}

// stage makes a target and the subjects.
func (b *bench) stage(ctx context.Context, on *line, only ...string) (sc *scene, err error) {
	if sc, err = b.empty(on); err != nil {
		return sc, err
	}
	defer func() {
		if err != nil {
			sc.close()
		}
	}()
	names, routes := b.routes()
	if len(only) > 0 {
		names = only
	}
	for _, name := range names {
		s, err := routes[name](ctx, sc.far, sc.target.addr())
		if err != nil {
			return sc, fmt.Errorf("%s: %w", name, err)
		}
		sc.subjects = append(sc.subjects, s)
	}
	return sc, nil
}

func (sc *scene) close() {
	for _, s := range sc.subjects {
		s.close()
	}
	if sc.target != nil {
		sc.target.close()
	}
	sc.far.close()
}
