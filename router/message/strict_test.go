package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// refusals are JSON messages that break the protocol; the binary serializers get them transcoded.
var refusals = []struct{ name, frame, reason string }{
	{"no list", `{"a":1}`, "a message is a list"},
	{"empty list", `[]`, "the message code is missing"},
	{"code that is a text", `["16"]`, "the message code is unknown"},
	{"code that does not exist", `[7,{}]`, "the message code is unknown"},
	{"code beyond a byte that wraps around to a known one", `[272,1,{},"t"]`, "the message code is unknown"},
	{"code of an extension", `[337,1]`, "the message code is unknown"},
	{"code 0", `[0]`, "the message code is unknown"},
	{"negative code", `[-16,1,{},"t"]`, "the message code is unknown"},

	{"request id 0", `[16,0,{},"t"]`, "PUBLISH: the request id is not an integer"},
	{"request id -1", `[16,-1,{},"t"]`, "PUBLISH: the request id is not an integer"},
	{"request id 1.5", `[48,1.5,{},"p"]`, "CALL: the request id is not an integer"},
	{"request id 1e300", `[48,1e300,{},"p"]`, "CALL: the request id is not an integer"},
	{"request id beyond 2^53", `[48,9007199254740993,{},"p"]`, "CALL: the request id is not an integer"},
	{"request id beyond 64 bits", `[48,18446744073709551617,{},"p"]`, "CALL: the request id is not an integer"},
	{"request id as a text", `[32,"1",{},"t"]`, "SUBSCRIBE: the request id is not an integer"},
	{"request id true", `[32,true,{},"t"]`, "SUBSCRIBE: the request id is not an integer"},
	{"request id null", `[32,null,{},"t"]`, "SUBSCRIBE: the request id is not an integer"},
	{"subscription id 0", `[34,1,0]`, "UNSUBSCRIBE: the subscription id"},
	{"registration id -5", `[66,1,-5]`, "UNREGISTER: the registration id"},
	{"session id 0", `[2,0,{}]`, "WELCOME: the session id"},

	{"realm that is a number", `[1,5,{}]`, "HELLO: the realm is not a text"},
	{"topic that is a list", `[16,1,{},["t"]]`, "PUBLISH: the topic is not a text"},
	{"topic that is a binary", `[16,1,{},"\u0000dA=="]`, "PUBLISH: the topic is not a text"},
	{"reason that is null", `[6,{},null]`, "GOODBYE: the reason is not a text"},
	{"signature that is a dictionary", `[5,{},{}]`, "AUTHENTICATE: the signature is not a text"},
	{"challenge method that is a number", `[4,1,{}]`, "CHALLENGE: the method is not a text"},

	{"details that are a list", `[1,"r",[]]`, "HELLO: the details is not a dictionary"},
	{"options that are a text", `[48,1,"x","p"]`, "CALL: the options is not a dictionary"},
	{"args that are a dictionary", `[48,1,{},"p",{}]`, "CALL: args is not a list"},
	{"args that are a text", `[16,1,{},"t","x"]`, "PUBLISH: args is not a list"},
	{"args that are a binary without an algorithm", `[16,1,{},"t","\u0000AAAA"]`, "PUBLISH: args is not a list"},
	{"kwargs that are a list", `[70,1,{},[],[]]`, "YIELD: kwargs is not a dictionary"},
	{"kwargs that are a number", `[50,1,{},[],5]`, "RESULT: kwargs is not a dictionary"},

	{"too few elements", `[16,1,{}]`, "PUBLISH: the topic is missing"},
	{"too few elements of an acknowledgement", `[17,1]`, "PUBLISHED: the publication id is missing"},
	{"too many elements", `[16,1,{},"t",[],{},1]`, "PUBLISH: the message has too many elements"},
	{"too many elements where there are no arguments", `[32,1,{},"t",[]]`, "SUBSCRIBE: the message has too many elements"},
	{"details of an ordinary Unsubscribed", `[35,1,{}]`, "UNSUBSCRIBED: the message has too many elements"},
	{"no details of a revocation", `[67,0]`, "UNREGISTERED: the details is missing"},

	{"acknowledge that is a number", `[16,1,{"acknowledge":1},"t"]`, "PUBLISH: acknowledge is not a boolean"},
	{"exclude_me that is a text", `[16,1,{"exclude_me":"false"},"t"]`, "PUBLISH: exclude_me is not a boolean"},
	{"progress that is a text", `[70,1,{"progress":"yes"}]`, "YIELD: progress is not a boolean"},
	{"exclude that is an id", `[16,1,{"exclude":5},"t"]`, "PUBLISH: exclude is not a list"},
	{"exclude with a text", `[16,1,{"exclude":["5"]},"t"]`, "PUBLISH: exclude is not an integer from 1"},
	{"eligible_authid with a number", `[16,1,{"eligible_authid":[5]},"t"]`, "PUBLISH: eligible_authid is not a text"},
	{"eligible_authrole with null", `[16,1,{"eligible_authrole":[null]},"t"]`, "PUBLISH: eligible_authrole is not a text"},
	{"ppt_scheme that is a number", `[16,1,{"ppt_scheme":5},"t"]`, "PUBLISH: ppt_scheme is not a text"},
	{"ppt_serializer that is a list", `[48,1,{"ppt_scheme":"wamp","ppt_serializer":[]},"t"]`, "CALL: ppt_serializer is not a text"},
	{"ppt_cipher that is a dictionary", `[70,1,{"ppt_scheme":"wamp","ppt_cipher":{}}]`, "YIELD: ppt_cipher is not a text"},
	{"ppt_keyid that is a number in an error", `[8,68,1,{"ppt_keyid":1},"e"]`, "ERROR: ppt_keyid is not a text"},
	{"unknown match", `[32,1,{"match":"regex"},"t"]`, "SUBSCRIBE: match has an unknown value"},
	{"match that is a number", `[64,1,{"match":1},"t"]`, "REGISTER: match is not a text"},
	{"unknown invoke", `[64,1,{"invoke":"all"},"t"]`, "REGISTER: invoke has an unknown value"},
	{"unknown mode", `[49,1,{"mode":"maybe"}]`, "CANCEL: mode has an unknown value"},
	{"mode of an interrupt", `[69,1,{"mode":"skip"}]`, "INTERRUPT: mode has an unknown value"},
	{"negative timeout", `[48,1,{"timeout":-1},"p"]`, "CALL: timeout is not a positive integer"},
	{"timeout with a fraction", `[48,1,{"timeout":0.5},"p"]`, "CALL: timeout is not a positive integer"},
	{"timeout as a text", `[48,1,{"timeout":"5"},"p"]`, "CALL: timeout is not a positive integer"},
	{"negative concurrency", `[64,1,{"concurrency":-1},"p"]`, "REGISTER: concurrency is not a positive integer"},
	{"huge concurrency", `[64,1,{"concurrency":4294967296},"p"]`, "REGISTER: concurrency is not a positive integer"},
	{"publisher that is no id", `[36,1,2,{"publisher":"x"}]`, "EVENT: publisher is not an integer"},

	{"error of a message that has none", `[8,17,1,{},"e"]`, "ERROR: the request type has no errors"},
	{"error of a large type", `[8,304,1,{},"e"]`, "ERROR: the request type has no errors"},
	{"error of no type", `[8,"x",1,{},"e"]`, "ERROR: the request type has no errors"},
}

func TestMessagesThatBreakTheProtocolAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range refusals {
		for _, f := range formats {
			t.Run(tt.name+" in "+f.String(), func(t *testing.T) {
				t.Parallel()
				m, err := Decode(f, transcoded(t, tt.frame, f))
				refused(t, m, err, tt.reason)
			})
		}
	}
}

// transcoded gives a JSON text in another serializer.
func transcoded(t testing.TB, text string, f Format) []byte {
	t.Helper()
	if f == JSON {
		return []byte(text)
	}
	w := writer{f: f}
	w.transcode(JSON, text)
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w.b
}

func refused(t *testing.T, m Message, err error, reason string) {
	t.Helper()
	if m != nil {
		t.Errorf("got the message %+v", m)
	}
	var violation *ProtocolError
	if !errors.As(err, &violation) {
		t.Fatalf("got error %v, want a protocol error", err)
	}
	if !strings.Contains(violation.Reason, reason) {
		t.Errorf("got reason %q, want %q", violation.Reason, reason)
	}
}

func TestFramesThatAreMalformedAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		f      Format
		frame  string
		reason string
	}{
		{"nothing", JSON, "", "too early"},
		{"nothing", MsgPack, "", "too early"},
		{"nothing", CBOR, "", "too early"},
		{"two messages", JSON, `[16,1,{},"t"][16,1,{},"t"]`, "bytes follow"},
		{"a trailing byte", MsgPack, "\x93\x22\x01\x01\xc0", "bytes follow"},
		{"a trailing byte", CBOR, "\x83\x18\x22\x01\x01\xf6", "bytes follow"},
		{"a cut message", JSON, `[16,1,{},"t`, "too early"},
		{"a cut message", MsgPack, "\x94\x10\x01\x80\xa5abc", "too early"},
		{"a cut message", CBOR, "\x84\x10\x01\xa0\x65abc", "too early"},

		{"a comma too many", JSON, `[16,1,{},"t",]`, "not JSON"},
		{"a comma before the first element", JSON, `[,16]`, "not JSON"},
		{"a comma too few", JSON, `[16 1,{},"t"]`, "not JSON"},
		{"a comma too many in a dictionary", JSON, `[16,1,{},"t",[{"a":1,}]]`, "not JSON"},
		{"a missing colon", JSON, `[16,1,{},"t",[{"a" 1}]]`, "not JSON"},
		{"brackets that cross", JSON, `[16,1,{},"t",[{"a":1]}]`, "not JSON"},
		{"a number with a leading zero", JSON, `[16,1,{},"t",[01]]`, "not JSON"},
		{"a number with a leading plus", JSON, `[16,1,{},"t",[+1]]`, "not JSON"},
		{"a number that ends with its point", JSON, `[16,1,{},"t",[1.]]`, "not JSON"},
		{"a number without exponent", JSON, `[16,1,{},"t",[1e]]`, "not JSON"},
		{"a lone minus", JSON, `[16,1,{},"t",[-]]`, "not JSON"},
		{"NaN", JSON, `[16,1,{},"t",[NaN]]`, "not JSON"},
		{"a misspelled literal", JSON, `[16,1,{},"t",[nul]]`, "not JSON"},
		{"a key without quotes", JSON, `[16,1,{},"t",[{a:1}]]`, "not JSON"},
		{"a key that is a number", JSON, `[16,1,{},"t",[{1:1}]]`, "not JSON"},
		{"a text in single quotes", JSON, `[16,1,{},'t']`, "not JSON"},
		{"a comment", JSON, `[16,1,{},"t"/**/]`, "not JSON"},
		{"a byte order mark", JSON, "\xef\xbb\xbf" + `[16,1,{},"t"]`, "not JSON"},
		{"an unknown escape", JSON, `[16,1,{},"\x41"]`, "not JSON"},
		{"an escape without four digits", JSON, `[16,1,{},"\u12g4"]`, "not JSON"},
		{"a control character in a text", JSON, "[16,1,{},\"a\nb\"]", "control character"},
		{"an integer with a fraction of nothing as an id", JSON, `[16,1.0,{},"t"]`, "the request id is not an integer"},
		{"an integer with an exponent as an id", JSON, `[16,1e3,{},"t"]`, "the request id is not an integer"},

		{"invalid UTF-8 in the topic", JSON, "[16,1,{},\"\xff\"]", "UTF-8"},
		{"invalid UTF-8 in args", JSON, "[16,1,{},\"t\",[\"abcdefgh\xc3(\"]]", "UTF-8"},
		{"invalid UTF-8 in a key", JSON, "[16,1,{},\"t\",[{\"\xed\xa0\x80\":1}]]", "UTF-8"},
		{"invalid UTF-8 in the topic", MsgPack, "\x94\x10\x01\x80\xa1\xff", "UTF-8"},
		{"invalid UTF-8 in args", MsgPack, "\x95\x10\x01\x80\xa1t\x91\xa2\xc3(", "UTF-8"},
		{"invalid UTF-8 in args", CBOR, "\x85\x10\x01\xa0\x61t\x81\x62\xc3(", "UTF-8"},
		{"invalid UTF-8 in a chunk", CBOR, "\x85\x10\x01\xa0\x61t\x81\x7f\x61\xc3\x61\xa4\xff", "UTF-8"},
		{"half a surrogate pair in the topic", JSON, `[16,1,{},"\ud800"]`, "the topic is not a text"},

		{"the byte that MessagePack never uses", MsgPack, "\x95\x10\x01\x80\xa1t\x91\xc1", "not MessagePack"},
		{"a list that claims 4294967295 elements", MsgPack, "\xdd\xff\xff\xff\xff\x10", "too early"},
		{"a dictionary that claims 65535 entries", MsgPack, "\x94\x10\x01\xde\xff\xff", "too early"},
		{"a text that claims 4 GiB", MsgPack, "\x94\x10\x01\x80\xdb\xff\xff\xff\xff", "too early"},
		{"a key that is a number", MsgPack, "\x95\x10\x01\x80\xa1t\x91\x81\x01\x01", "a key that is not a text"},
		{"a key that is a binary", MsgPack, "\x95\x10\x01\x80\xa1t\x91\x81\xc4\x01a\x01", "a key that is not a text"},
		{"a key that is a list", MsgPack, "\x95\x10\x01\x80\xa1t\x91\x81\x90\x01", "a key that is not a text"},
		{"an extension in the head", MsgPack, "\x94\x10\xd4\x05\x01\x80\xa1t", "the request id is not an integer"},

		{"a list that claims 2^64-1 elements", CBOR, "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "too early"},
		{"a binary that claims 2^63 bytes", CBOR, "\x85\x10\x01\xa0\x61t\x81\x5b\x80\x00\x00\x00\x00\x00\x00\x00", "too early"},
		{"a key that is a number", CBOR, "\x85\x10\x01\xa0\x61t\x81\xa1\x01\x01", "a key that is not a text"},
		{"a length that is reserved", CBOR, "\x85\x10\x01\xa0\x61t\x81\x1c", "not CBOR"},
		{"an integer of indefinite length", CBOR, "\x85\x10\x01\xa0\x61t\x81\x1f", "not CBOR"},
		{"a break where none may be", CBOR, "\x85\x10\x01\xa0\x61t\x81\xff", "not CBOR"},
		{"a break in the place of a value", CBOR, "\x85\x10\x01\xa0\x61t\x81\xbf\x61a\xff", "not CBOR"},
		{"a chunk of another kind", CBOR, "\x85\x10\x01\xa0\x61t\x81\x7f\x41a\xff", "not CBOR"},
		{"a chunk within a chunk", CBOR, "\x85\x10\x01\xa0\x61t\x81\x7f\x7f\x61a\xff\xff", "not CBOR"},
		{"an unassigned simple value", CBOR, "\x85\x10\x01\xa0\x61t\x81\xf0", "not CBOR"},
		{"a list without end", CBOR, "\x9f\x10\x01\xa0\x61t", "too early"},
		{"a tag without a value", CBOR, "\x85\x10\x01\xa0\x61t\x81\xc0", "too early"},
		{"a tag of indefinite length", CBOR, "\x85\x10\x01\xa0\x61t\x81\xdf\x01", "malformed"},
		{"a bignum as an id", CBOR, "\x84\x10\xc2\x41\x01\xa0\x61t", "the request id is not an integer"},
	} {
		t.Run(tt.name+" in "+tt.f.String(), func(t *testing.T) {
			t.Parallel()
			m, err := Decode(tt.f, []byte(tt.frame))
			refused(t, m, err, tt.reason)
		})
	}
}

func TestADictionaryDoesNotHaveAKeyTwice(t *testing.T) {
	t.Parallel()
	large := func(last string) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `"key %d":{"a":1,"b":2},`, i)
		}
		return `[16,1,{},"t",[{` + b.String() + `"` + last + `":1}]]`
	}
	for name, frame := range map[string]string{
		"options":                 `[32,1,{"match":"exact","match":"prefix"},"t"]`,
		"options that nobody has": `[32,1,{"x":1,"x":1},"t"]`,
		"details":                 `[1,"r",{"roles":{},"roles":{}}]`,
		"kwargs":                  `[16,1,{},"t",[],{"a":1,"b":2,"a":1}]`,
		"a dictionary far inside": `[16,1,{},"t",[[{"x":{"a":1,"b":{"a":1},"a":1}}]]]`,
		"a large dictionary":      large("key 5"),
		"keys spelled in two ways, which JSON allows": `[16,1,{},"t",[{"a":1,"\u0061":2}]]`,
	} {
		for _, f := range formats {
			t.Run(name+" in "+f.String(), func(t *testing.T) {
				t.Parallel()
				m, err := Decode(f, withDoubleKeys(t, frame, f))
				refused(t, m, err, "a key twice")
			})
		}
	}
	t.Run("but several dictionaries have the same", func(t *testing.T) {
		t.Parallel()
		for _, frame := range []string{large("key 100"), `[16,1,{"x":1},"x",[{"x":1},{"x":{"x":1}},{"x":1}],{"x":1}]`} {
			if _, err := Decode(JSON, []byte(frame)); err != nil {
				t.Error(err)
			}
		}
	})
}

// withDoubleKeys transcodes a JSON text without a look at its keys.
func withDoubleKeys(t *testing.T, text string, f Format) []byte {
	t.Helper()
	if f == JSON {
		return []byte(text)
	}
	r := reader{f: JSON, s: text}
	w := writer{f: f}
	careless(&w, &r)
	if r.err != nil || w.err != nil {
		t.Fatal(r.err, w.err)
	}
	return w.b
}

func careless(w *writer, r *reader) {
	t := r.value()
	switch t.kind {
	case kindUint:
		w.uint(t.num)
	case kindText:
		w.text(t.text)
	default:
		q := r.in(t)
		mark, n := w.open(q.dict), 0
		for ; r.more(&q); n++ {
			if q.dict {
				w.key(r.jsonKey())
			}
			careless(w, r)
		}
		w.close(mark, q.dict, n)
	}
}

func TestAMessageIsNestedToALimit(t *testing.T) {
	t.Parallel()
	nested := func(levels int) string { // the message is the first level
		return `[16,1,{},"t",` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `]`
	}
	dicts := func(levels int) string {
		return `[1,"r",` + strings.Repeat(`{"a":`, levels-1) + "1" + strings.Repeat("}", levels-1) + `]`
	}
	for _, shape := range []func(int) string{nested, dicts} {
		if _, err := Decode(JSON, []byte(shape(MaxDepth))); err != nil {
			t.Error(err)
		}
		m, err := Decode(JSON, []byte(shape(MaxDepth+1)))
		refused(t, m, err, "nested too deeply")
	}
	m, err := Decode(MsgPack, []byte("\x95\x10\x01\x80\xa1t"+strings.Repeat("\x91", 1<<20)))
	refused(t, m, err, "nested too deeply")
	m, err = Decode(CBOR, []byte("\x85\x10\x01\xa0\x61t"+strings.Repeat("\x9f", 1<<20)))
	refused(t, m, err, "nested too deeply")
	m, err = Decode(CBOR, []byte("\x85\x10\x01\xa0\x61t\x81"+strings.Repeat("\xc6", 1<<20)+"\x00"))
	refused(t, m, err, "nested too deeply")
	m, err = Decode(JSON, []byte(strings.Repeat("[", 1<<20)))
	refused(t, m, err, "unknown")
}

func TestARefusalIsTextForThePeer(t *testing.T) {
	t.Parallel()
	_, err := Decode(JSON, []byte(`[1,"secret-realm",{"a":`))
	if errs.URIOf(err) != ViolationURI || errs.KindOf(err) != wire.Invalid {
		t.Errorf("got %s, %s", errs.URIOf(err), errs.KindOf(err))
	}
	if got := errs.UserText(err); got != "the message ends too early" {
		t.Errorf("got text %q", got)
	}
}

func TestWithoutASerializerNothingIsDecoded(t *testing.T) {
	t.Parallel()
	for _, f := range []Format{NoFormat, 4, 255} {
		if m, err := Decode(f, []byte(`[6,{},"r"]`)); m != nil || err == nil {
			t.Errorf("got %v, %v", m, err)
		}
		if _, err := Append(nil, f, &Goodbye{}); err == nil {
			t.Error("appended")
		}
		if _, err := NewPayload(f, []any{}, nil); err == nil {
			t.Error("made a payload")
		}
	}
}
