package main

import (
	"bytes"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(asRouter) != "" {
		os.Exit(serveAndReport())
	}
	os.Exit(m.Run())
}

func TestHonestClientsLoseNothingAndTheRouterStaysFlatBesideMisbehavingOnes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	var talk, table bytes.Buffer
	s := settings{lasts: 20 * time.Second, talk: &talk}.withDefaults()
	r, err := soak(t.Context(), s)
	if err != nil {
		t.Fatalf("%v\n%s", err, talk.String())
	}
	if r.print(&table); !r.held() {
		t.Errorf("\n%s%s", talk.String(), table.String())
	}
}

func TestGrowthBeyondTheMarginIsNotFlat(t *testing.T) {
	t.Parallel()
	rest := sample{state: state{Goroutines: 30, Heap: 8 * mib}, Descriptors: 30, Resident: 60 * mib}
	for name, grow := range map[string]func(*sample){
		"goroutines":  func(s *sample) { s.Goroutines += 3 },
		"descriptors": func(s *sample) { s.Descriptors += 2 },
		"heap":        func(s *sample) { s.Heap += 3 * mib },
		"resident":    func(s *sample) { s.Resident += 20 * mib },
	} {
		after := rest
		grow(&after)
		if (&report{before: rest, after: after}).flat() {
			t.Errorf("more %s is called flat", name)
		}
	}
	if !(&report{before: rest, after: rest}).flat() {
		t.Error("no growth is not called flat")
	}
}
