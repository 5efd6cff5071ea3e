package message

import (
	"bytes"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
	"github.com/google/go-cmp/cmp"
)

func TestOnlyWhatIsTrueIsAnnouncedInHello(t *testing.T) {
	t.Parallel()
	for roles, want := range map[string][]Role{
		`{}`:                                  nil,
		`null`:                                nil,
		`1`:                                   nil,
		`["caller"]`:                          nil,
		`{"admin":{"features":{"all":true}}}`: nil,
		`{"caller":{}}`:                       {{Name: "caller"}},
		`{"caller":1,"callee":null}`:          {{Name: "caller"}, {Name: "callee"}},
		`{"callee":{"features":["call_canceling"]}}`: {{Name: "callee"}},
		`{"callee":{"features":{"a":1,"b":false,"c":{"d":true},"e":true,"f":["x"]},"g":{"h":true}},"caller":{"features":{"i":true}}}`: {
			{"callee", []string{"e"}}, {"caller", []string{"i"}},
		},
	} {
		m, err := Decode(JSON, []byte(`[1,"r",{"roles":`+roles+`,"authid":"joe"}]`))
		if err != nil {
			t.Errorf("%s: %v", roles, err)
			continue
		}
		if d := cmp.Diff(&Hello{Realm: "r", Roles: want, Details: Dict{"authid": "joe"}}, m); d != "" {
			t.Errorf("%s: %s", roles, d)
		}
	}
}

func TestAnAuthenticatorOfNexusSeesTheRolesOfHello(t *testing.T) {
	t.Parallel()
	h := &Hello{Realm: "r", Roles: []Role{{"callee", []string{"call_canceling"}}, {Name: "caller"}}, Details: Dict{"authid": "joe"}}
	want := wamp.Dict{"authid": "joe", "roles": Dict{
		"callee": Dict{"features": Dict{"call_canceling": true}}, "caller": Dict{},
	}}
	if d := cmp.Diff(want, h.All()); d != "" {
		t.Error(d)
	}
}

func TestWhatWelcomeAlwaysSaysIsWrittenAsTheRest(t *testing.T) {
	t.Parallel()
	roles, err := NewFixed(Dict{"broker": Dict{}})
	if err != nil {
		t.Fatal(err)
	}
	typed := &Welcome{Session: 7, Details: Dict{"x": "y"}, Admission: Admission{
		Realm: "r", AuthID: "joe", AuthRole: "device", AuthMethod: "wampcra", AuthProvider: "here", Roles: roles,
	}}
	open := &Welcome{Session: 7, Details: Dict{
		"realm": "r", "authid": "joe", "authrole": "device", "authmethod": "wampcra", "authprovider": "here", "roles": roles, "x": "y",
	}}
	for f := JSON; f <= CBOR; f++ {
		want, err := Append(nil, f, open)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Append(nil, f, typed); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q %v, want %q", f, got, err, want)
		}
	}
	want, _ := ToNexus(open)
	if got, err := ToNexus(typed); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
}
