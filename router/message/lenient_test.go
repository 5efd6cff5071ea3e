package message

import (
	"testing"
)

func TestWhatClientsSendAndTheSpecificationDoesNotForbidIsAccepted(t *testing.T) {
	t.Parallel()
	publish := &Publish{Request: 1, Topic: "t"}
	withKwargs := &Publish{Request: 1, Topic: "t", Payload: payloadOf(`[]`, `{"a":1}`)}
	for _, tt := range []struct {
		name  string
		f     Format
		frame string
		want  Message
	}{
		{"white space", JSON, " [ 16 ,\t1 ,\r\n{ } , \"t\" , [ ] , { \"a\" : 1 } ] \n", &Publish{Request: 1, Topic: "t", Payload: payloadOf(`[ ]`, `{ "a" : 1 }`)}},
		{"an escaped topic", JSON, `[16,1,{},"\u0074"]`, publish},
		{"a list of those who have some attribute", JSON, `[16,1,{"eligible_xauthteam":["a"],"eligible_none":null,"exclude_xauthteam":[1]},"t"]`, &Publish{Request: 1, Options: PublishOptions{EligibleOther: true}, Topic: "t"}},
		{"no list of those who have some attribute", JSON, `[16,1,{"eligible_none":null},"t"]`, &Publish{Request: 1, Topic: "t"}},
		{"an escaped option", JSON, `[16,1,{"retai\u006e":true},"t"]`, &Publish{Request: 1, Options: PublishOptions{Retain: true}, Topic: "t"}},
		{"a surrogate pair", JSON, `[16,1,{},"\ud834\uDD1E"]`, &Publish{Request: 1, Topic: "𝄞"}},
		{"half a surrogate pair in the payload", JSON, `[16,1,{},"t",["\udd1e"]]`, &Publish{Request: 1, Topic: "t", Payload: payloadOf(`["\udd1e"]`, "")}},
		{"options that are not known", JSON, `[16,1,{"x_own":{"a":[1,2,{"b":null}]},"_y":1e5,"z":"\u0000AAAA"},"t"]`, publish},
		{"null in the place of options", JSON, `[16,1,null,"t"]`, publish},
		{"null in the place of an option", JSON, `[16,1,{"acknowledge":null,"exclude_me":null,"exclude":null,"eligible_authid":null,"ppt_scheme":null},"t"]`, publish},
		{"null in the place of args and kwargs", JSON, `[16,1,{},"t",null,null]`, publish},
		{"null in the place of args", JSON, `[16,1,{},"t",null,{"a":1}]`, withKwargs},
		{"null in the place of args", MsgPack, "\x96\x10\x01\x80\xa1t\xc0\x81\xa1a\x01", withKwargs},
		{"null in the place of args", CBOR, "\x86\x10\x01\xa0\x61t\xf6\xa1\x61a\x01", withKwargs},
		{"undefined in the place of args", CBOR, "\x86\x10\x01\xf7\x61t\xf7\xa1\x61a\x01", withKwargs},
		{"null in the place of a timeout and a mode", JSON, `[69,1,{"mode":null,"reason":null}]`, &Interrupt{Request: 1}},
		{"empty texts as options", JSON, `[64,1,{"match":"","invoke":""},"p"]`, &Register{Request: 1, Procedure: "p"}},
		{"an empty topic, which is for others to judge", JSON, `[16,1,{},""]`, &Publish{Request: 1}},

		{"signed integers", MsgPack, "\x94\xd0\x10\xd3\x00\x00\x00\x00\x00\x00\x00\x01\x80\xa1t", publish},
		{"integers wider than they must be", MsgPack, "\xdd\x00\x00\x00\x04\xcd\x00\x10\xce\x00\x00\x00\x01\xdf\x00\x00\x00\x00\xdb\x00\x00\x00\x01t", publish},
		{"integers wider than they must be", CBOR, "\x9b\x00\x00\x00\x00\x00\x00\x00\x04\x18\x10\x1b\x00\x00\x00\x00\x00\x00\x00\x01\xba\x00\x00\x00\x00\x79\x00\x01t", publish},
		{"an id as a float of 64 bits", MsgPack, "\x94\x10\xcb\x41\xf0\x00\x00\x00\x00\x00\x00\x80\xa1t", &Publish{Request: 1 << 32, Topic: "t"}},
		{"an id as a float of 64 bits", CBOR, "\x84\x10\xfb\x43\x40\x00\x00\x00\x00\x00\x00\xa0\x61t", &Publish{Request: MaxID, Topic: "t"}},
		{"an id as a float of 32 bits", CBOR, "\x84\x10\xfa\x3f\x80\x00\x00\xa0\x61t", publish},
		{"an id as a float of 16 bits", CBOR, "\x84\x10\xf9\x3c\x00\xa0\x61t", publish},
		{"indefinite lengths", CBOR, "\x9f\x10\x01\xbf\xff\x7f\x61t\xff\xff", publish},
		{"an undefined option of msgpackr", MsgPack, "\x94\x10\x01\x81\xa7exclude\xd4\x00\x00\xa1t", publish},
		{"undefined in the place of options, of a flag and of args", MsgPack, "\x96\x10\x01\x81\xa6retain\xd4\x00\x00\xa1t\xd4\x00\x00\x81\xa1a\x01", withKwargs},
		{"undefined in the place of options", MsgPack, "\x94\x10\x01\xd4\x00\x00\xa1t", publish},
		{"a tagged message", CBOR, "\xd9\xd9\xf7\x84\x10\x01\xa0\x61t", publish},
		{"a timeout as a float", MsgPack, "\x94\x30\x01\x81\xa7timeout\xcb\x40\x8f\x40\x00\x00\x00\x00\x00\xa1p", &Call{Request: 1, Options: CallOptions{TimeoutMs: 1000}, Procedure: "p"}},
	} {
		t.Run(tt.name+" in "+tt.f.String(), func(t *testing.T) {
			t.Parallel()
			got, err := Decode(tt.f, []byte(tt.frame))
			if err != nil {
				t.Fatal(err)
			}
			sameMessages(t, got, tt.want)
		})
	}
}

func TestFloatsThatAreNoIDsAreRefused(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string]string{
		"1.5":      "\x94\x10\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\x80\xa1t",
		"-1":       "\x94\x10\xcb\xbf\xf0\x00\x00\x00\x00\x00\x00\x80\xa1t",
		"0":        "\x94\x10\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x80\xa1t",
		"1e300":    "\x94\x10\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c\x80\xa1t",
		"2^53 + 2": "\x94\x10\xcb\x43\x40\x00\x00\x00\x00\x00\x01\x80\xa1t",
		"infinity": "\x94\x10\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00\x80\xa1t",
		"NaN":      "\x94\x10\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x80\xa1t",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := Decode(MsgPack, []byte(frame))
			refused(t, m, err, "the request id is not an integer")
		})
	}
}

func TestAFrameMayBeUsedAgainAfterDecode(t *testing.T) {
	t.Parallel()
	for f, frame := range vectorFrames(t)["publish with all options"] {
		m, err := Decode(f, frame)
		if err != nil {
			t.Fatal(err)
		}
		clear(frame)
		sameMessages(t, m, vectors["publish with all options"])
	}
}

func TestATransparentPayloadTravelsAsABinary(t *testing.T) {
	t.Parallel()
	frames := map[Format]string{
		JSON:    `[16,9,{"enc_algo":"cryptobox"},"t","\u0000AQID"]`,
		MsgPack: "\x95\x10\x09\x81\xa8enc_algo\xa9cryptobox\xa1t\xc4\x03\x01\x02\x03",
		CBOR:    "\x85\x10\x09\xa1\x68enc_algo\x69cryptobox\x61t\x43\x01\x02\x03",
	}
	for f, frame := range frames {
		m, err := Decode(f, []byte(frame))
		if err != nil {
			t.Fatal(err)
		}
		for to, want := range frames {
			if got, err := Append(nil, to, m); err != nil || string(got) != want {
				t.Errorf("%s to %s: got %q, %v, want %q", f, to, got, err, want)
			}
		}
		args, kwargs, err := m.(*Publish).Payload.Decode()
		if err != nil || len(args) != 1 || string(args[0].([]byte)) != "\x01\x02\x03" || kwargs != nil {
			t.Errorf("got %v, %v, %v", args, kwargs, err)
		}
	}
}

func TestWhatOnlyMessagePackHasBecomesWhatAllHave(t *testing.T) {
	t.Parallel()
	for frame, want := range map[string]string{
		"\xd4\x00\x00":                                                 `null`, // undefined
		"\xd6\xff\x00\x00\x00\x01":                                     `"1970-01-01T00:00:01Z"`,
		"\xd7\xff\x00\x00\x00\x08\x00\x00\x00\x01":                     `"1970-01-01T00:00:01.000000002Z"`,
		"\xc7\x0c\xff\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff": `"1969-12-31T23:59:59.000000005Z"`,
		"\xd6\xff\xff\xff\xff\xff":                                     `"2106-02-07T06:28:15Z"`,
		"\xd5\xff\x01\x02":                                             `"\u0000AQI="`, // no timestamp has two bytes
		"\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x01":                     `"\u0000/////wAAAAE="`,
		"\xc7\x0c\xff\x00\x00\x00\x05\x7f\xff\xff\xff\xff\xff\xff\xff": `"\u0000AAAABX//////////"`,
		"\xd4\x00\x01":                                                 `"\u0000AQ=="`,
		"\xc7\x03\x05abc":                                              `"\u0000YWJj"`,
		"\xc7\x00\x05":                                                 `"\u0000"`,
	} {
		transcodes(t, MsgPack, frame, JSON, want)
	}
}

func TestWhatOnlyCBORHasBecomesWhatAllHave(t *testing.T) {
	t.Parallel()
	for frame, want := range map[string]string{
		"\xf7":                                             `null`,
		"\xc0\x74" + "2026-02-03T04:05:06Z":                `"2026-02-03T04:05:06Z"`,
		"\xc1\x1a\x00\x00\x00\x05":                         `5`,
		"\xd8\x40\x43\x01\x02\x03":                         `"\u0000AQID"`, // an array of bytes, as cbor-x encodes it
		"\xd9\x01\x02\x81\x01":                             `[1]`,          // a set
		"\xc2\x41\x05":                                     `5`,            // a bignum
		"\xc3\x41\x05":                                     `-6`,           // a negative bignum
		"\xc2\x48\xff\xff\xff\xff\xff\xff\xff\xff":         `18446744073709551615`,
		"\xc2\x4a\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff": `18446744073709551615`,
		"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00":     `18446744073709552000.0`,
		"\xc3\x48\x7f\xff\xff\xff\xff\xff\xff\xff":         `-9223372036854775808`,
		"\xc3\x48\x80\x00\x00\x00\x00\x00\x00\x00":         `-9223372036854776000.0`,
		"\xc3\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00":     `-18446744073709552000.0`,
		"\xc2\x61x":                                        `"x"`, // a bignum that is none
		"\x3b\xff\xff\xff\xff\xff\xff\xff\xff":             `-18446744073709552000.0`,
		"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff":             `-9223372036854775808`,
		"\x5f\x41a\x42bc\xff":                              `"\u0000YWJj"`,
		"\x7f\x61a\x62bc\xff":                              `"abc"`,
		"\xf9\x00\x01":                                     `5.960464477539063e-08`,
		"\xf9\x7b\xff":                                     `65504.0`,
		"\xf9\xc0\x00":                                     `-2.0`,
		"\xf9\x7c\x00":                                     `null`, // infinity
		"\xf9\x7e\x00":                                     `null`, // NaN
		"\xfa\x3f\xc0\x00\x00":                             `1.5`,
	} {
		transcodes(t, CBOR, frame, JSON, want)
	}
}

func TestNumbersKeepTheirKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"5":                    "\x05",
		"-1":                   "\xff",
		"-33":                  "\xd0\xdf",
		"-129":                 "\xd1\xff\x7f",
		"-32769":               "\xd2\xff\xff\x7f\xff",
		"200":                  "\xcc\xc8",
		"5.0":                  "\xcb\x40\x14\x00\x00\x00\x00\x00\x00",
		"5e0":                  "\xcb\x40\x14\x00\x00\x00\x00\x00\x00",
		"-0":                   "\x00",
		"-0.0":                 "\xcb\x80\x00\x00\x00\x00\x00\x00\x00",
		"9007199254740993":     "\xcf\x00\x20\x00\x00\x00\x00\x00\x01",
		"-9007199254740993":    "\xd3\xff\xdf\xff\xff\xff\xff\xff\xff",
		"18446744073709551615": "\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
		"18446744073709551616": "\xcb\x43\xf0\x00\x00\x00\x00\x00\x00",
		"-9223372036854775808": "\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
		"-9223372036854775809": "\xcb\xc3\xe0\x00\x00\x00\x00\x00\x00",
		"1e400":                "\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
	} {
		transcodes(t, JSON, text, MsgPack, want)
	}
	for frame, want := range map[string]string{
		"\xcb\x40\x14\x00\x00\x00\x00\x00\x00": "5.0",
		"\xca\x3f\xc0\x00\x00":                 "1.5",
		"\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c": "1e+300",
		"\xcb\x00\x00\x00\x00\x00\x00\x00\x01": "5e-324",
		"\xcb\x80\x00\x00\x00\x00\x00\x00\x00": "-0.0",
		"\xcb\x44\x4b\x1a\xe4\xd6\xe2\xef\x50": "1e+21",
		"\xd3\x00\x00\x00\x00\x00\x00\x00\x05": "5",
	} {
		transcodes(t, MsgPack, frame, JSON, want)
	}
}

func TestBinariesAreBase64InJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"\u0000"`:          "\x40",
		`"\u0000AQID"`:      "\x43\x01\x02\x03",
		`"\u0000no base64"`: "\x6a\x00no base64", // a text, then
		`"\u0000AQI"`:       "\x64\x00AQI",
		`"AQID"`:            "\x64AQID",
		`{"\u0000AQID":1}`:  "\xa1\x65\x00AQID\x01", // a key is a text
	} {
		transcodes(t, JSON, text, CBOR, want)
	}
}

func TestTextsKeepTheirCharacters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"\"\\\/\b\f\n\r\t\u001f\u007f"`: "\xaa\"\\/\b\f\n\r\t\x1f\x7f",
		`"\u00e9\u2603\ud834\udd1e"`:     "\xa9é☃𝄞",
		`"\ud834x\ud834\u0041\udd1e"`:    "\xab\ufffdx\ufffdA\ufffd",
		`"12345678\n12345678\"1234567é"`: "\xbb12345678\n12345678\"1234567é",
	} {
		transcodes(t, JSON, text, MsgPack, want)
	}
	transcodes(t, MsgPack, "\xaa\"\\/\b\f\n\r\t\x1f\x7f", JSON, `"\"\\/\u0008\u000c\n\r\t\u001f`+"\x7f\"")
}

// transcodes checks what the only argument of a payload becomes.
func transcodes(t *testing.T, from Format, value string, to Format, want string) {
	t.Helper()
	list := map[Format][2]string{JSON: {"[", "]"}, MsgPack: {"\x91", ""}, CBOR: {"\x81", ""}}
	p := Payload{format: from, args: list[from][0] + value + list[from][1]}
	got, err := p.In(to)
	if err != nil {
		t.Errorf("%q: %v", value, err)
		return
	}
	if want = list[to][0] + want + list[to][1]; got.args != want {
		t.Errorf("%q: got %q, want %q", value, got.args, want)
	}
}
