package message

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// payloadOf is a payload as JSON has it.
func payloadOf(args, kwargs string) Payload {
	return Payload{format: JSON, args: args, kwargs: kwargs}
}

var ppt = &Passthru{Scheme: "wamp"}

// vectors says what the messages in testdata/vectors.txt mean.
var vectors = map[string]Message{
	"hello": &Hello{
		Realm: "realm1", Roles: []Role{{Name: "caller"}, {"subscriber", []string{"pattern_based_subscription"}}},
		Details: Dict{"authid": "joe", "authmethods": []any{"wampcra"}},
	},
	"welcome": &Welcome{Session: MaxID, Details: Dict{"authrole": "device", "roles": Dict{"broker": Dict{}, "dealer": Dict{}}}},
	"abort":   &Abort{Details: Dict{"message": "no"}, Reason: "wamp.error.no_such_realm"},
	"abort with arguments": &Abort{
		Details: Dict{}, Reason: "wamp.error.authentication_failed", Payload: payloadOf(`["why"]`, `{"code":3}`),
	},
	"challenge":    &Challenge{Method: "wampcra", Extra: Dict{"challenge": "{}", "iterations": uint64(1000)}},
	"authenticate": &Authenticate{Signature: "c2lnbmF0dXJl", Extra: Dict{}},
	"goodbye":      &Goodbye{Details: Dict{}, Reason: "wamp.close.normal"},
	"error":        &Error{Request: CodeInvocation, RequestID: 7, Details: Dict{}, URI: "com.example.error.broken"},
	"error with arguments and passthru": &Error{
		Request: CodeCall, RequestID: 7, Details: Dict{"trace": "a"}, Passthru: ppt,
		URI: "com.example.error.broken", Payload: payloadOf(`["broken",-1]`, `{"since":1500}`),
	},
	"publish": &Publish{Request: 1, Topic: "com.example.topic"},
	"publish with all options": &Publish{
		Request: 1 << 32,
		Options: PublishOptions{
			Acknowledge: true, KeepMe: true, DiscloseMe: true, Retain: true,
			Exclude: []ID{1, 2}, ExcludeAuthID: []string{"a"}, ExcludeAuthRole: []string{},
			Eligible: []ID{3}, EligibleAuthID: []string{"b", "c"}, EligibleAuthRole: []string{"d"},
			Passthru: &Passthru{Scheme: "x_own", Serializer: "cbor", Cipher: "xsalsa20poly1305", KeyID: "k1"},
		},
		Topic:   "com.example.topic",
		Payload: payloadOf(`[1,-1,2.5,"text",true,null]`, `{"nested":{"list":[[]]}}`),
	},
	"publish with transparent options": &Publish{
		Request: 9, Options: PublishOptions{Passthru: &Passthru{EncAlgo: "cryptobox", EncSerializer: "cbor", EncKey: "k"}},
		Topic: "com.example.topic", Payload: payloadOf(`[]`, ""),
	},
	"published":              &Published{Request: 1, Publication: 1<<32 - 1},
	"subscribe":              &Subscribe{Request: 1, Topic: "com.example.topic"},
	"subscribe to a pattern": &Subscribe{Request: 255, Options: SubscribeOptions{Match: "wildcard", GetRetained: true}, Topic: "com..topic"},
	"subscribed":             &Subscribed{Request: 256, Subscription: 65535},
	"unsubscribe":            &Unsubscribe{Request: 65536, Subscription: 127},
	"unsubscribed":           &Unsubscribed{Request: 128},
	"unsubscribed by the router": &Unsubscribed{
		Subscription: 5, Reason: "wamp.error.not_authorized",
	},
	"event": &Event{Subscription: 5512315355, Publication: 4429313566, Payload: payloadOf(`["Hello, world!"]`, "")},
	"event with details": &Event{
		Subscription: 1, Publication: 2,
		Details: EventDetails{
			Topic: "com.example.topic", Publisher: Identity{Session: 77, AuthID: "joe", AuthRole: "device"}, Retained: true, Dropped: 3,
		},
		Payload: payloadOf(`[]`, `{"a":1}`),
	},
	"call": &Call{Request: 1, Procedure: "com.example.procedure"},
	"call with all options": &Call{
		Request:   1,
		Options:   CallOptions{ReceiveProgress: true, Progress: true, TimeoutMs: 30000, DiscloseMe: true, Passthru: ppt},
		Procedure: "com.example.procedure", Payload: payloadOf(`["München ☃ 𝄞"]`, `{}`),
	},
	"cancel":             &Cancel{Request: 1},
	"cancel with a mode": &Cancel{Request: 1, Mode: "skip"},
	"result":             &Result{Request: 1},
	"progressive result": &Result{
		Request: 1, Details: ResultDetails{Progress: true},
		Payload: payloadOf(`[18446744073709551615,-9223372036854775808,9007199254740993]`, ""),
	},
	"register": &Register{Request: 1, Procedure: "com.example.procedure"},
	"register with all options": &Register{
		Request:   1,
		Options:   RegisterOptions{Match: "prefix", Invoke: "roundrobin", Concurrency: 4, ForceReregister: true, DiscloseCaller: true},
		Procedure: "com.example.procedure",
	},
	"registered":                 &Registered{Request: 1, Registration: 2},
	"unregister":                 &Unregister{Request: 1, Registration: 2},
	"unregistered":               &Unregistered{Request: 1},
	"unregistered by the router": &Unregistered{Registration: 5, Reason: "wamp.error.not_authorized"},
	"invocation":                 &Invocation{Request: 1, Registration: 2, Payload: payloadOf(`[0.1]`, "")},
	"invocation with details": &Invocation{
		Request: 1, Registration: 2,
		Details: InvocationDetails{
			Procedure: "com.example.procedure", Caller: Identity{Session: 3, AuthID: "joe", AuthRole: "device"},
			ReceiveProgress: true, Progress: true, TimeoutMs: 5000,
		},
		Payload: payloadOf(`[]`, `{"k":"v"}`),
	},
	"interrupt":         &Interrupt{Request: 1, Mode: "killnowait", Reason: "wamp.error.canceled"},
	"yield":             &Yield{Request: 1},
	"progressive yield": &Yield{Request: 1, Options: YieldOptions{Progress: true}, Payload: payloadOf(`["a","b"]`, "")},
}

// vectorFrames reads testdata/vectors.txt: a name, then one line per serializer, binary ones in hex.
func vectorFrames(t testing.TB) map[string]map[Format][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	frames := map[string]map[Format][]byte{}
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.Split(block, "\n")
		frames[lines[0]] = map[Format][]byte{
			JSON:    []byte(strings.TrimSpace(strings.TrimPrefix(lines[1], "json"))),
			MsgPack: unhex(t, strings.TrimPrefix(lines[2], "msgpack")),
			CBOR:    unhex(t, strings.TrimPrefix(lines[3], "cbor")),
		}
	}
	return frames
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var formats = []Format{JSON, MsgPack, CBOR}

// sameMessages compares messages whose payloads are encoded in JSON by their bytes, and nil with empty dictionaries as different.
func sameMessages(t *testing.T, got, want Message) {
	t.Helper()
	if diff := cmp.Diff(want, inJSON(t, got), cmp.AllowUnexported(Payload{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEveryMessageTypeHasAVector(t *testing.T) {
	t.Parallel()
	seen := map[Code]bool{}
	for _, m := range vectors {
		seen[m.Code()] = true
	}
	for code, name := range codeNames {
		if name != "" && !seen[Code(code)] {
			t.Errorf("%s has no vector", name)
		}
	}
}

func TestVectorsDecodeToTheirMeaning(t *testing.T) {
	t.Parallel()
	for name, frames := range vectorFrames(t) {
		want := vectors[name]
		if want == nil {
			t.Errorf("%s: nobody says what it means", name)
			continue
		}
		for f, frame := range frames {
			t.Run(name+" in "+f.String(), func(t *testing.T) {
				t.Parallel()
				got, err := Decode(f, frame)
				if err != nil {
					t.Fatal(err)
				}
				sameMessages(t, got, want)
			})
		}
	}
}

func TestMessagesEncodeToTheirVectors(t *testing.T) {
	t.Parallel()
	for name, frames := range vectorFrames(t) {
		for f, frame := range frames {
			t.Run(name+" in "+f.String(), func(t *testing.T) {
				t.Parallel()
				got, err := Append([]byte("before"), f, vectors[name])
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != "before"+string(frame) {
					t.Errorf("got  %q\nwant %q", got[len("before"):], frame)
				}
			})
		}
	}
}
