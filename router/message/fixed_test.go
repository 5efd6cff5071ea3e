package message

import (
	"bytes"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
	"github.com/google/go-cmp/cmp"
)

func TestAFixedValueIsEncodedAsTheValueItself(t *testing.T) {
	t.Parallel()
	value := Dict{"broker": Dict{"features": Dict{"a": true, "b": []any{uint64(1), "x"}}}}
	fixed, err := NewFixed(value)
	if err != nil {
		t.Fatal(err)
	}
	welcome := func(v any) *Welcome { return &Welcome{Session: 1, Details: Dict{"before": "y", "roles": v, "z": nil}} }
	for f := JSON; f <= CBOR; f++ {
		want, err := Append(nil, f, welcome(value))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Append(nil, f, welcome(fixed)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q %v, want %q", f, got, err, want)
		}
	}
	m, err := ToNexus(welcome(fixed))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(any(value), m.(*wamp.Welcome).Details["roles"]); d != "" {
		t.Error(d)
	}
	if _, err := NewFixed(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
}
