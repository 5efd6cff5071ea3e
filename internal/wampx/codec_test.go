package wampx

import (
	"bytes"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

var serializers = map[string]Serializer{"json": JSON, "msgpack": MessagePack, "cbor": CBOR}

func TestEverySerializerKeepsEveryPlainValue(t *testing.T) {
	t.Parallel()
	values := []any{
		nil, true, "text", "", "ü€", uint64(0), uint64(1), uint64(127), uint64(128), uint64(1<<53 - 1), uint64(math.MaxUint64),
		int64(-1), int64(-33), int64(math.MinInt64), 0.5, -1e300, []byte{0, 1, 255}, []byte{},
		[]any{}, []any{uint64(1), []any{"nested"}}, map[string]any{}, map[string]any{"a": map[string]any{"b": nil}},
	}
	for name, s := range serializers {
		for _, v := range values {
			data, err := s.encode([]any{v})
			if err != nil {
				t.Errorf("%s: encode %#v: %v", name, v, err)
				continue
			}
			list, err := s.decode(data)
			if err != nil {
				t.Errorf("%s: decode %#v: %v", name, v, err)
				continue
			}
			if got := plainList(list); !reflect.DeepEqual(got, []any{v}) {
				t.Errorf("%s: %#v became %#v", name, v, got)
			}
		}
	}
}

func TestWhatIsSentBecomesPlain(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct{ in, want any }{
		{7, uint64(7)},
		{-7, int64(-7)},
		{int8(-1), int64(-1)},
		{float32(0.5), 0.5},
		{wamp.Dict{"a": wamp.List{wamp.ID(3)}}, map[string]any{"a": []any{uint64(3)}}},
		{wire.Key(9), uint64(9)},
		{[]wire.Row{{"x": 1}}, []any{map[string]any{"x": uint64(1)}}},
		{[]string{"a"}, []any{"a"}},
		{wire.Metric{Ref: "r", Method: "AVG"}, map[string]any{"ref": "r", "method": "AVG"}},
		{wire.RowErrorsReply{Total: 1<<53 + 1}, map[string]any{"total": uint64(1<<53 + 1), "errors": nil}},
		{at, "2026-01-02T03:04:05Z"},
	} {
		got, err := plain(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%#v became %#v, want %#v, %v", c.in, got, c.want, err)
		}
	}
}

func TestASenderAndAReceiverInOneProcessShareNothing(t *testing.T) {
	t.Parallel()
	row := wire.Row{"list": []any{uint64(1)}}
	list, _, err := outgoing([]any{row}, nil)
	if err != nil {
		t.Fatal(err)
	}
	row["list"].([]any)[0] = "changed"
	if got := list[0].(map[string]any)["list"].([]any)[0]; got != uint64(1) {
		t.Errorf("the receiver sees %v", got)
	}
}

func TestEveryMessageOfAClientIsWrittenAsTheSpecificationSays(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]wamp.Message{
		`[1,"r",{}]`:                   &wamp.Hello{Realm: "r"},
		`[5,"s",{}]`:                   &wamp.Authenticate{Signature: "s"},
		`[6,{},"x"]`:                   &wamp.Goodbye{Reason: "x"},
		`[8,68,7,{},"e"]`:              &wamp.Error{Type: wamp.INVOCATION, Request: 7, Error: "e"},
		`[16,1,{},"t"]`:                &wamp.Publish{Request: 1, Topic: "t"},
		`[16,1,{},"t",[],{"a":1}]`:     &wamp.Publish{Request: 1, Topic: "t", ArgumentsKw: wamp.Dict{"a": 1}},
		`[32,1,{},"t"]`:                &wamp.Subscribe{Request: 1, Topic: "t"},
		`[34,1,2]`:                     &wamp.Unsubscribe{Request: 1, Subscription: 2},
		`[48,1,{},"p",["<&>"]]`:        &wamp.Call{Request: 1, Procedure: "p", Arguments: wamp.List{"<&>"}},
		`[49,1,{"mode":"kill"}]`:       &wamp.Cancel{Request: 1, Options: wamp.Dict{"mode": "kill"}},
		`[64,1,{},"p"]`:                &wamp.Register{Request: 1, Procedure: "p"},
		`[66,1,2]`:                     &wamp.Unregister{Request: 1, Registration: 2},
		`[70,1,{"progress":true},[1]]`: &wamp.Yield{Request: 1, Options: wamp.Dict{"progress": true}, Arguments: wamp.List{1}},
	} {
		list, err := toList(m)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got, err := JSON.encode(list); err != nil || string(got) != want {
			t.Errorf("got %s, want %s, %v", got, want, err)
		}
	}
	if _, err := toList(&wamp.Welcome{}); err == nil {
		t.Error("a client sends no WELCOME")
	}
}

func TestAMailboxCountsWhatItLoses(t *testing.T) {
	t.Parallel()
	m := newMailbox[int](2)
	lost := 0
	for i := range 5 {
		lost += m.putOver(i)
	}
	a, _, _ := m.take()
	b, _, _ := m.take()
	_, ok, more := m.take()
	if lost != 3 || a != 3 || b != 4 || ok || !more {
		t.Errorf("lost %d, then %d, %d, %v, %v", lost, a, b, ok, more)
	}
	m.close()
	if _, ok, more := m.take(); ok || more || m.put(1) {
		t.Error("a closed mailbox gives or takes")
	}
}

func TestEveryKindHasItsWayBack(t *testing.T) {
	t.Parallel()
	for _, k := range wire.Kinds {
		if got := kindOf(errs.Of(k).URI); got != k {
			t.Errorf("%s: %s comes back as %s", k, errs.Of(k).URI, got)
		}
	}
	if got := kindOf("com.example.app.failed"); got != wire.Internal {
		t.Errorf("an app's error is %s", got)
	}
}

func TestAMessageThatClaimsMoreThanItHoldsIsRefused(t *testing.T) {
	t.Parallel()
	deep := bytes.Repeat([]byte{0x91}, 1<<20)
	for name, data := range map[string][]byte{
		"a list of four billion":       {0xdd, 0xef, 0xc0, 0xff, 0xc3},
		"a dictionary of four billion": {0x91, 0xdf, 0xff, 0xff, 0xff, 0xff},
		"a list inside a list":         {0x92, 0xdc, 0xff, 0xff, 0x01},
		"a text of four billion":       {0x91, 0xdb, 0xff, 0xff, 0xff, 0xff, 'a'},
		"an extension of four billion": {0x91, 0xc9, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a million open lists":         deep,
		"65 open lists":                append(bytes.Repeat([]byte{0x91}, 65), 0x01),
		"nothing":                      {},
	} {
		if list, err := MessagePack.decode(data); err == nil {
			t.Errorf("%s became %v", name, list)
		}
	}
	if _, err := MessagePack.decode(append(bytes.Repeat([]byte{0x91}, 64), 0x01)); err != nil {
		t.Errorf("64 open lists: %v", err)
	}
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`[2,1,{"roles":{}}]`, `[3,{"message":"m"},"wamp.error.no_such_realm"]`, `[4,"wampcra",{"challenge":"{}"}]`, `[6,{},"x"]`,
		`[8,48,1,{},"e",["text"],{"k":1}]`, `[17,1,2]`, `[33,1,2]`, `[35,1]`, `[36,1,2,{"topic":"t"},["\u0000AAEC"]]`,
		`[50,1,{"progress":true},[1e400]]`, `[65,1,2]`, `[67,1]`, `[68,1,2,{"timeout":-1},[],{}]`, `[69,1,{}]`, `[]`, `[[]]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Add([]byte{0xdd, 0xef, 0xc0, 0xff, 0xc3}) // a list that claims four billion elements
	f.Add([]byte{0x93, 0x02, 0x01, 0x80})
	f.Add([]byte{0x83, 0x02, 0x01, 0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, s := range serializers {
			list, err := s.decode(data)
			if err != nil {
				continue
			}
			m, err := fromList(list)
			if (m == nil) == (err == nil) {
				t.Fatalf("%s: message %v and error %v", name, m, err)
			}
			switch m := m.(type) {
			case *wamp.Event:
				newEvent("t", m)
			case *wamp.Invocation:
				newInvocation(nil, "p", m)
			case *wamp.Error:
				_ = fromWAMP(m)
			}
		}
	})
}
