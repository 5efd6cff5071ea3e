package wire_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"bulkhead/wire"
)

func recordedShell() wire.RecordingHead {
	return wire.RecordingHead{Tunnel: "TUNNEL", Session: 1, Project: 11, Device: 33, Serial: wire.NewSerial()}
}

// recorded makes a recording of some chunks, the last of which ends it.
func recorded(t *testing.T, of wire.RecordingHead, texts ...string) (wire.RecordingKeyPair, []wire.RecordingChunk) {
	t.Helper()
	device, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	project, err := wire.NewRecordingKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := wire.NewRecordingSealer(of, device, project.Public())
	if err != nil {
		t.Fatal(err)
	}
	var chunks []wire.RecordingChunk
	for i, text := range texts {
		end := ""
		if i == len(texts)-1 {
			end = wire.RecordingComplete
		}
		chunk, err := sealer.Seal([]byte(text), int64(i), end)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, chunk)
	}
	return project, chunks
}

// played gives what a recording has, as one who has the project's key reads it.
func played(project wire.RecordingKeyPair, chunks []wire.RecordingChunk) (text string, ended bool, err error) {
	var chain wire.RecordingChain
	var opener *wire.RecordingOpener
	for _, chunk := range chunks {
		p, err := chunk.Parse()
		if err == nil {
			err = chain.Accept(p)
		}
		if err == nil && opener == nil {
			var key []byte
			if key, err = project.Unseal(p.Head); err == nil {
				opener, err = wire.NewRecordingOpener(key)
			}
		}
		if err != nil {
			return text, false, err
		}
		plain, err := opener.Open(p)
		if err != nil {
			return text, false, err
		}
		text += string(plain)
	}
	return text, chain.Ended, nil
}

func TestARecordingIsReadByWhoHasTheProjectsKey(t *testing.T) {
	t.Parallel()
	project, chunks := recorded(t, recordedShell(), "first ", "second ", "", "third")
	if text, ended, err := played(project, chunks); text != "first second third" || !ended || err != nil {
		t.Errorf("%q, %v, %v", text, ended, err)
	}
	if text, ended, err := played(project, chunks[:2]); text != "first second " || ended || err != nil {
		t.Errorf("without its end: %q, %v, %v", text, ended, err)
	}
	kept, err := project.Private()
	if err != nil {
		t.Fatal(err)
	}
	again, err := wire.ParseRecordingKeyPair(kept)
	if err != nil || again.Public() != project.Public() {
		t.Errorf("the key that was kept is another: %v", err)
	}
	other, _ := wire.NewRecordingKeyPair()
	if text, _, err := played(other, chunks); text != "" || !errors.Is(err, wire.ErrRecording) {
		t.Errorf("another project reads %q, %v", text, err)
	}
	for i, chunk := range chunks {
		if body, _ := base64.StdEncoding.DecodeString(chunk.Body); bytes.Contains(body, []byte("first")) || bytes.Contains(body, []byte("second")) {
			t.Errorf("chunk %d can be read", i)
		}
	}
}

// altered changes the head of a chunk and leaves its signature.
func altered(t *testing.T, c wire.RecordingChunk, change func(*wire.RecordingHead)) wire.RecordingChunk {
	t.Helper()
	p, err := c.Parse()
	if err != nil {
		t.Fatal(err)
	}
	change(&p.Head)
	text, _ := json.Marshal(p.Head)
	c.Head = base64.StdEncoding.EncodeToString(text)
	return c
}

func TestARecordingThatWasChangedIsNotBelieved(t *testing.T) {
	t.Parallel()
	of := recordedShell()
	project, whole := recorded(t, of, "first ", "second ", "third ", "fourth")
	_, other := recorded(t, of, "first ", "forged ", "third ", "fourth")
	with := func(at int, c wire.RecordingChunk) []wire.RecordingChunk {
		out := append([]wire.RecordingChunk(nil), whole...)
		out[at] = c
		return out
	}
	body := whole[1]
	raw, _ := base64.StdEncoding.DecodeString(body.Body)
	raw[3] ^= 1
	body.Body = base64.StdEncoding.EncodeToString(raw)
	unsigned := whole[1]
	unsigned.Signature = whole[2].Signature
	for name, chunks := range map[string][]wire.RecordingChunk{
		"a chunk is left out":        append(append([]wire.RecordingChunk(nil), whole[:1]...), whole[2:]...),
		"the first is left out":      whole[1:],
		"two change places":          {whole[0], whole[2], whole[1], whole[3]},
		"a chunk comes twice":        {whole[0], whole[1], whole[1], whole[2], whole[3]},
		"one goes on after the end":  append(append([]wire.RecordingChunk(nil), whole...), other[3]),
		"a body is changed":          with(1, body),
		"a body is another's":        with(1, wire.RecordingChunk{Head: whole[1].Head, Body: whole[2].Body, Signature: whole[1].Signature}),
		"a chunk is another's":       with(1, other[1]),
		"a signature is another's":   with(1, unsigned),
		"a time is changed":          with(1, altered(t, whole[1], func(h *wire.RecordingHead) { h.At = 7 })),
		"it ends before its end":     with(1, altered(t, whole[1], func(h *wire.RecordingHead) { h.End = wire.RecordingComplete })),
		"its device is another":      with(0, altered(t, whole[0], func(h *wire.RecordingHead) { h.Device = 44 })),
		"the first is another's":     with(0, other[0]),
		"the device's key is no key": with(0, altered(t, whole[0], func(h *wire.RecordingHead) { h.Signer = "AAAA" })),
		"no base64":                  with(1, wire.RecordingChunk{Head: "?", Body: whole[1].Body, Signature: whole[1].Signature}),
		"a head twice as long":       with(1, wire.RecordingChunk{Head: strings.Repeat("A", 8<<10), Body: whole[1].Body}),
	} {
		if _, ended, err := played(project, chunks); ended || !errors.Is(err, wire.ErrRecording) {
			t.Errorf("%s: %v, %v", name, ended, err)
		}
	}
}

func TestAHeadHasOneForm(t *testing.T) {
	t.Parallel()
	_, chunks := recorded(t, recordedShell(), "first", "last")
	text, _ := base64.StdEncoding.DecodeString(chunks[1].Head)
	for name, head := range map[string]string{
		"spaces":             strings.Replace(string(text), ",", ", ", 1),
		"an unknown member":  strings.Replace(string(text), "{", `{"x":1,`, 1),
		"a member twice":     strings.Replace(string(text), "{", `{"version":1,`, 1),
		"something after it": string(text) + "{}",
		"another version":    strings.Replace(string(text), `"version":1`, `"version":2`, 1),
		"session 0":          strings.Replace(string(text), `"session":1`, `"session":0`, 1),
		"a signer later":     strings.Replace(string(text), `"end":`, `"signer":"AA==","end":`, 1),
		"an unknown end":     strings.Replace(string(text), `"end":"complete"`, `"end":"done"`, 1),
		"no project":         strings.Replace(string(text), `"project_key":11`, `"project_key":0`, 1),
	} {
		c := chunks[1]
		c.Head = base64.StdEncoding.EncodeToString([]byte(head))
		if _, err := c.Parse(); err == nil || head == string(text) {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAGrantThatAsksForARecordingHasTheProjectsKey(t *testing.T) {
	t.Parallel()
	_, private, _ := ed25519.GenerateKey(nil)
	key, err := wire.NewRecordingKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*wire.Grant){
		"no key":       func(g *wire.Grant) { g.RecordKey = "" },
		"not base64":   func(g *wire.Grant) { g.RecordKey = "?" },
		"a short one":  func(g *wire.Grant) { g.RecordKey = "AAAA" },
		"(the whole)":  func(*wire.Grant) {},
		"(not needed)": func(g *wire.Grant) { g.Record, g.RecordKey = false, "" },
	} {
		g := grant()
		g.Record, g.RecordKey = true, key.Public()
		change(&g)
		if _, err := wire.SignGrant(private, g); (err == nil) != strings.HasPrefix(name, "(") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRecordingChunk(f *testing.F) {
	f.Add("e30=", "", "")
	f.Add(base64.StdEncoding.EncodeToString([]byte(`{"version":1,"tunnel":"T","session":1,"project_key":11,"device_key":33,"serial":"3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f","sequence":1,"previous":"AA==","body":"","at":0}`)), "AAAA", "AAAA")
	f.Fuzz(func(t *testing.T, head, body, signature string) {
		p, err := wire.RecordingChunk{Head: head, Body: body, Signature: signature}.Parse()
		if err != nil {
			return
		}
		if (&wire.RecordingChain{}).Accept(p) == nil {
			t.Errorf("a signature was made up: %q", head)
		}
	})
}
