package message

import (
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// forNexus takes from m what ToNexus says that nexus has no place for.
func forNexus(m Message) Message {
	if p := payloadField(m); p != nil {
		*p = withoutEmpties(*p)
	}
	switch m := m.(type) {
	case *Abort:
		m.Payload = Payload{}
	case *Event:
		m.Details.Passthru = nil
	case *Invocation:
		m.Details.Passthru = nil
	case *Result:
		m.Details.Passthru = nil
	case *Error:
		m.Passthru = nil
	case *Unsubscribed:
		return &Unsubscribed{Request: 1}
	case *Unregistered:
		return &Unregistered{Request: 1}
	}
	return m
}

func TestAMessageSurvivesTheJourneyThroughNexus(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := forNexus(aMessage().Draw(t, "message"))
		n, err := ToNexus(m)
		if err != nil {
			t.Fatal(err)
		}
		if n.MessageType() != wamp.MessageType(m.Code()) {
			t.Fatalf("%T became %T", m, n)
		}
		got, err := FromNexus(n)
		if err != nil {
			t.Fatalf("%+v: %v", n, err)
		}
		if diff := cmp.Diff(m, got, byMeaning); diff != "" {
			t.Fatal(diff)
		}
	})
}

// withoutEmpties drops arguments that are empty, which nexus does not tell from those that are absent.
func withoutEmpties(p Payload) Payload {
	args, kwargs, err := p.Decode()
	if err == nil && len(kwargs) == 0 {
		if p.kwargs = ""; len(args) == 0 {
			return Payload{}
		}
	}
	return p
}

func TestNexusOptionsBecomeTyped(t *testing.T) {
	t.Parallel()
	got, err := FromNexus(&wamp.Publish{
		Request: 5, Topic: "a.b",
		Options: wamp.Dict{
			"acknowledge": true, "exclude_me": false, "exclude": []wamp.ID{1, 2}, "eligible_authid": []string{"x"},
			"eligible": wamp.List{int64(3)}, "ppt_scheme": "x_own", "unknown": map[string]any{"a": 1},
		},
		ArgumentsKw: wamp.Dict{"a": 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	sameMessages(t, got, &Publish{
		Request: 5, Topic: "a.b",
		Options: PublishOptions{
			Acknowledge: true, KeepMe: true, Exclude: []ID{1, 2}, EligibleAuthID: []string{"x"}, Eligible: []ID{3}, Passthru: &Passthru{Scheme: "x_own"},
		},
		Payload: payloadOf(`[]`, `{"a":1}`),
	})
}

func TestWhatNexusPeersMayNotSendIsRefused(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]wamp.Message{
		"nothing":                     nil,
		"a pointer that is nil":       (*wamp.Publish)(nil),
		"an id of 0":                  &wamp.Call{Procedure: "p"},
		"an id beyond 2^53":           &wamp.Call{Request: 1 << 60, Procedure: "p"},
		"a match that does not exist": &wamp.Subscribe{Request: 1, Options: wamp.Dict{"match": "regex"}},
		"a ppt_cipher of no text":     &wamp.Yield{Request: 1, Options: wamp.Dict{"ppt_scheme": "x", "ppt_cipher": 5}},
		"an error of no request":      &wamp.Error{Type: wamp.HELLO, Request: 1},
		"an argument of no encoding":  &wamp.Yield{Request: 1, Arguments: wamp.List{make(chan int)}},
		"a topic that is not UTF-8":   &wamp.Publish{Request: 1, Topic: "\xff"},
	} {
		if got, err := FromNexus(m); err == nil || got != nil {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if m, err := ToNexus(foreign{}); err == nil || m != nil {
		t.Errorf("got %v, %v", m, err)
	}
	if m, err := ToNexus(nil); err == nil || m != nil {
		t.Errorf("got %v, %v", m, err)
	}
}

// nexus's client asserts the Go type of a payload that has a scheme, in its only goroutine.
func TestAClientOfNexusDoesNotSeePayloadPassthruThatItWouldPanicOn(t *testing.T) {
	t.Parallel()
	hostile := &Passthru{Scheme: "x_evil", Serializer: "cbor"}
	for _, m := range []Message{
		&Event{Subscription: 1, Publication: 1, Details: EventDetails{Passthru: hostile}},
		&Invocation{Request: 1, Registration: 1, Details: InvocationDetails{Passthru: hostile}},
		&Result{Request: 1, Details: ResultDetails{Passthru: hostile}},
		&Error{Request: CodeCall, RequestID: 1, Passthru: hostile},
	} {
		n, err := ToNexus(m)
		if err != nil {
			t.Fatal(err)
		}
		var details wamp.Dict
		switch n := n.(type) {
		case *wamp.Event:
			details = n.Details
		case *wamp.Invocation:
			details = n.Details
		case *wamp.Result:
			details = n.Details
		case *wamp.Error:
			details = n.Details
		}
		if details == nil || len(details) != 0 {
			t.Errorf("%T has details %v", n, details)
		}
	}
}

func TestPassthruOfNexusClientsHasTheNamesOfTheWire(t *testing.T) {
	t.Parallel()
	got, err := FromNexus(&wamp.Publish{
		Request: 1, Topic: "t", Options: wamp.Dict{"ppt_scheme": "wamp"},
		Arguments: wamp.List{&wamp.PassthruPayload{Arguments: wamp.List{1}, ArgumentsKw: wamp.Dict{"a": 2}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	sameMessages(t, got, &Publish{
		Request: 1, Topic: "t", Options: PublishOptions{Passthru: &Passthru{Scheme: "wamp"}}, Payload: payloadOf(`[{"args":[1],"kwargs":{"a":2}}]`, ""),
	})
}

func TestDetailsGivenToNexusBelongToTheReceiver(t *testing.T) {
	t.Parallel()
	welcome := &Welcome{Session: 1, Details: Dict{"realm": "r"}}
	n, err := ToNexus(welcome)
	if err != nil {
		t.Fatal(err)
	}
	n.(*wamp.Welcome).Details["realm"] = "other"
	if welcome.Details["realm"] != "r" {
		t.Error("the message has changed")
	}
}
