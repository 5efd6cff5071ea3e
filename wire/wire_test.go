package wire_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/wire"
)

func TestAKeyHasOneForm(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "0", "02", "+2", "-2", " 2", "2 ", "2.0", "1e3", "9007199254740992", "18446744073709551616", "٢", "0x2"} {
		if k, err := wire.ParseKey(bad); err == nil {
			t.Errorf("%q was read as %d", bad, k)
		}
		var k wire.Key
		if err := json.Unmarshal([]byte(bad), &k); err == nil && strings.TrimSpace(bad) == bad {
			t.Errorf("JSON %q was read as %d", bad, k)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		k := wire.Key(rapid.Uint64Range(1, uint64(wire.MaxKey)).Draw(t, "key"))
		if got, err := wire.ParseKey(k.String()); err != nil || got != k {
			t.Fatalf("got %d, %v", got, err)
		}
		encoded, _ := json.Marshal(k)
		var got wire.Key
		if err := json.Unmarshal(encoded, &got); err != nil || got != k {
			t.Fatalf("JSON %s: got %d, %v", encoded, got, err)
		}
	})
}

func TestNewNamesAreValidAndDiffer(t *testing.T) {
	t.Parallel()
	keys, serials := map[wire.Key]bool{}, map[wire.Serial]bool{}
	for range 1000 {
		k, s := wire.NewKey(), wire.NewSerial()
		if _, err := wire.ParseKey(k.String()); err != nil {
			t.Fatalf("%d: %v", k, err)
		}
		if _, err := wire.ParseSerial(string(s)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if keys[k] || serials[s] {
			t.Fatal("a name came twice")
		}
		keys[k], serials[s] = true, true
	}
}

func TestNoTwoURIsOfAKindCoincide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Map(rapid.Uint64Range(1, 50), func(n uint64) wire.Key { return wire.Key(n) })
		p, a, d := key.Draw(t, "project"), key.Draw(t, "app"), key.Draw(t, "device")
		uris := []string{
			wire.TableTopic(p, a, "t"), wire.BulkTopic(p, a, "t"), wire.AppendProcedure(p, a, "t").URI, wire.AppendBulkProcedure(p, a, "t").URI,
			wire.TransformedTopic("t").URI, wire.TransformedBulkTopic("t").URI, wire.HistoryProcedure("t").URI, wire.SeriesProcedure("t").URI,
			wire.RowErrorsProcedure("t").URI, wire.DeviceFunction(p, d, a, wire.Prod, "t"), wire.DeviceFunction(p, d, a, wire.Dev, "t"),
			wire.Assignments.URI, wire.AssignmentsChanged(d).URI,
		}
		seen := map[string]bool{}
		for _, u := range uris {
			if seen[u] {
				t.Fatalf("%s stands for two things", u)
			}
			seen[u] = true
		}
	})
}

func flash(t testing.TB) map[string]any {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(4e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"version": wire.Version, "router": "wss://localhost:8443/ws-agent",
		"ca":          string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"project_key": 1, "device_key": 3, "name": "press-1", "serial": string(wire.NewSerial()), "device_realm": "device-1",
		"secret":    base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"grant_key": base64.StdEncoding.EncodeToString(public),
	}
}

func encode(t testing.TB, f map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAFlashFileThatWasWrittenIsRead(t *testing.T) {
	t.Parallel()
	got, err := wire.ParseFlash(encode(t, flash(t)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "press-1" || got.Project != 1 || got.Device != 3 || got.DeviceRealm != "device-1" {
		t.Errorf("got %+v", got)
	}
}

func TestAWrongFlashFileSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for member, bad := range map[string]struct {
		value any
		says  string
	}{
		"version":      {99, "version: is 99"},
		"router":       {"ws://localhost/ws-agent", "router: want a URL"},
		"ca":           {"x", "ca: want certificates in PEM"},
		"project_key":  {0, "not a key"},
		"device_key":   {1.5, "not a key"},
		"name":         {7, "line 1: name: want a string"},
		"serial":       {"press-1", "serial: not a serial"},
		"device_realm": {" ", "device_realm: missing"},
		"secret":       {"c2hvcnQ=", "secret: want 32 bytes"},
		"grant_key":    {"!", "grant_key: want an Ed25519"},
		"extra":        {1, `unknown field "extra"`},
	} {
		f := flash(t)
		f[member] = bad.value
		if _, err := wire.ParseFlash(encode(t, f)); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: got %v, want %q", member, err, bad.says)
		}
	}
	for member := range flash(t) {
		f := flash(t)
		delete(f, member)
		if _, err := wire.ParseFlash(encode(t, f)); err == nil && member != "name" {
			t.Errorf("without %s: accepted", member)
		}
	}
}

func TestATruncatedFlashFileIsCalledTruncated(t *testing.T) {
	t.Parallel()
	whole := encode(t, flash(t))
	for n := 1; n < len(whole); n++ {
		if _, err := wire.ParseFlash(whole[:n]); err == nil || !strings.Contains(err.Error(), "truncated") {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
	if _, err := wire.ParseFlash(nil); err == nil || err.Error() != "empty" {
		t.Errorf("got %v", err)
	}
	if _, err := wire.ParseFlash(append(whole, "{}"...)); err == nil {
		t.Error("two objects were accepted")
	}
}

func FuzzParseFlash(f *testing.F) {
	good := encode(f, flash(f))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"version":1,"secret":"SECRET"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := wire.ParseFlash(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(parsed)
		if err != nil {
			t.Fatal(err)
		}
		if reread, err := wire.ParseFlash(again); err != nil || reread != parsed {
			t.Fatalf("%v: %+v became %+v", err, parsed, reread)
		}
	})
}
