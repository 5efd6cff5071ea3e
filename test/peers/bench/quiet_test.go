package main

import (
	"testing"

	"bulkhead/test/peers/internal/flood"
	"bulkhead/test/peers/internal/measure"
)

func TestOfRoundsThatWereRunTwiceTheLastIsCompared(t *testing.T) {
	t.Parallel()
	s := measure.Series{{Ops: 1}, {Ops: 2}, {Ops: 3}, {Ops: 4}}
	if got := last(s, 2); len(got) != 2 || got[0].Ops != 2 || got[1].Ops != 4 {
		t.Errorf("%+v", got)
	}
	if got := last(s, 4); len(got) != 4 || got[0].Ops != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAFloodThatHadTooLittleTimeIsNone(t *testing.T) {
	t.Parallel()
	warm, good := flood.Outcome{}, flood.Outcome{Published: steadyFlood, Elapsed: 1e9}
	poor := flood.Outcome{Published: steadyFlood * 9 / 10, Elapsed: 1e9}
	if f := (&beside{floods: []flood.Outcome{warm, good, good}}); !f.reached() {
		t.Error("it reached its pace")
	}
	if f := (&beside{floods: []flood.Outcome{warm, good, poor}}); f.reached() {
		t.Error("a flood that was too slow counts")
	}
}
