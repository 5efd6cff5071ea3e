package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/audit"
)

func leafOf(t testing.TB, e audit.Entry) (audit.Leaf, audit.Personal, string) {
	t.Helper()
	f, err := e.File()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"version":2,"sequence":7,"time":"2026-05-04T12:00:00.000001Z",%s`, f.Body[1:])
	leaf, err := audit.ParseLeaf([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Actor.ID != f.Actor || leaf.Asset != f.Asset {
		t.Errorf("it is filed as %q, %+v and says %q, %+v", f.Actor, f.Asset, leaf.Actor.ID, leaf.Asset)
	}
	return leaf, f.Personal, text
}

func TestALeafTellsOfNobodyAndTheEntryIsWholeWithWhatStandsBesideIt(t *testing.T) {
	t.Parallel()
	by := audit.Actor{Kind: audit.User, ID: "12", Name: "Canary Person", Address: "192.0.2.99", RequestID: "r", Issuer: "https://canary.example", Subject: "canary-subject", Session: "s", Assurance: "aal2"}
	e := audit.New(by, audit.LoginApprove, 0, audit.Asset{Kind: "user", Key: 12, Name: "canary-user"}).Changed(
		map[string]any{"email": "canary@example.com", "level": 1}, map[string]any{"name": "Canary", "level": 2.50, "html": "<&>"})
	leaf, beside, text := leafOf(t, e)
	for _, personal := range []string{"anary", "192.0.2.99"} {
		if strings.Contains(text, personal) {
			t.Errorf("the leaf tells of a person: %s", text)
		}
	}
	got, err := leaf.With(beside)
	if err != nil {
		t.Fatal(err)
	}
	if got.Actor != by || got.Asset != e.Asset || string(got.Before) != `{"email":"canary@example.com","level":1}` || !strings.Contains(string(got.After), "Canary") {
		t.Errorf("%+v", got)
	}
	beside.Data = []byte(strings.Replace(string(beside.Data), "Canary Person", "Other Person!", 1))
	if _, err := leaf.With(beside); err == nil {
		t.Error("another person is believed")
	}
}

func TestTheSameEntryTwiceHasTwoCommitments(t *testing.T) {
	t.Parallel()
	by := someone
	by.Name = "somebody"
	e := audit.New(by, audit.DeviceCreate, 7, audit.Asset{Kind: "device", Key: 1, Name: "press"})
	one, _, _ := leafOf(t, e)
	two, _, _ := leafOf(t, e)
	if one.Commitment == two.Commitment || one.Commitment == "" {
		t.Error("whoever reads leaves can guess people")
	}
	if one.Asset.Name != "press" {
		t.Error("a device is no person")
	}
}

func TestWhatIsTooLargeForALeafIsToldByItsDigest(t *testing.T) {
	t.Parallel()
	e := audit.New(someone, audit.DeviceCreate, 7, audit.Asset{Kind: "device"}).Changed(strings.Repeat("x", 1<<20), strings.Repeat("\x00", 1<<20))
	leaf, _, text := leafOf(t, e)
	if len(text) > audit.MaxLeaf || !strings.Contains(string(leaf.Before), "sha256") {
		t.Errorf("%d bytes", len(text))
	}
}

func TestWhatPostgreSQLCannotKeepIsReplaced(t *testing.T) {
	t.Parallel()
	_, _, text := leafOf(t, audit.New(someone, audit.DeviceCreate, 7, audit.Asset{Kind: "device", Name: "a\x00b"}).Changed(nil, map[string]string{"c\x00": "\x00\xff"}))
	if strings.Contains(text, `\u0000`) || !json.Valid([]byte(text)) {
		t.Error(text)
	}
}

// FuzzBody compares a leaf with what encoding/json makes of it by way of maps, which sort their members.
func FuzzBody(f *testing.F) {
	f.Add("k\x00", "press<&>", []byte(`{"b":{"z":1.50,"a\u0000":["\u2028",null]},"title":"T","email":"a@b"}`), []byte(`null`))
	f.Add("", "\xff", []byte(`[1e400,"<"]`), []byte(`{"b":1,"b":2,"user_name":"n"}`))
	f.Fuzz(func(t *testing.T, id, name string, before, after []byte) {
		if !json.Valid(before) || !json.Valid(after) {
			return
		}
		for _, kind := range []string{"device", "user"} {
			e := audit.New(audit.Actor{Kind: audit.User, ID: id, Session: name, RequestID: id}, audit.DeviceUpdate, 7, audit.Asset{Kind: kind, Key: 8, Name: name})
			e.Before, e.After = before, after
			filed, err := e.File()
			if err != nil {
				t.Fatal(err)
			}
			if again := sorted(t, filed.Body); !bytes.Equal(again, filed.Body) {
				t.Errorf("\n%s, sorted:\n%s", filed.Body, again)
			}
			if bytes.Contains(filed.Body, []byte("\x00")) || strings.Contains(strings.ReplaceAll(string(filed.Body), `\\`, ""), `\u0000`) {
				t.Errorf("PostgreSQL cannot keep %s", filed.Body)
			}
		}
	})
}

func sorted(t *testing.T, text []byte) []byte {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(members); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func FuzzParseLeaf(f *testing.F) {
	f.Add([]byte(`{"version":2,"sequence":1,"time":"2026-05-04T12:00:00Z","action":"device.create","actor":{"id":"k","kind":"apikey"},"asset":{"kind":"device"},"outcome":"done","severity":"info"}`))
	f.Add([]byte(`{"version":1,"sequence":1,"time":"2026-05-04T12:00:00Z","action":"a.b","actor":{"id":"k","kind":"apikey"},"after":{"a" : 1},"asset":{"kind":"device"},"outcome":"done","severity":"info"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		leaf, err := audit.ParseLeaf(text)
		if err == nil && (leaf.Sequence < 1 || leaf.Time.Equal(time.Time{}) || leaf.Actor.ID == "") {
			t.Errorf("%q", text)
		}
	})
}

func FuzzPersonal(f *testing.F) {
	f.Add([]byte(`{"actor":{"name":"x"},"after":{"email":"y"}}`), []byte(`{"a":1}`))
	f.Fuzz(func(_ *testing.T, data, after []byte) {
		p := audit.Personal{Salt: make([]byte, 32), Data: data}
		_, _ = audit.Leaf{Entry: audit.Entry{After: after}, Commitment: p.Commitment()}.With(p) // it does not panic
	})
}
