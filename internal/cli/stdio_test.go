package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// A file that cannot be read to its end must not look whole to who receives it.
func TestStandardInputThatFailsBreaksTheConnectionAndItsEndDoesNot(t *testing.T) {
	t.Parallel()
	p, device, far := joined(t)
	for name, c := range map[string]struct {
		ends error
		kind wire.Kind
	}{
		"read to its end": {nil, ""},
		"failing":         {errors.New("the disk is gone"), wire.Unavailable},
	} {
		s, err := p.stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in, typed := io.Pipe()
		done := make(chan error, 1)
		go func() { // waited for below
			inv := &invocation{Streams: Streams{In: in, Out: io.Discard}}
			done <- inv.connect(t.Context(), s)
		}()
		stream, err := device.Accept()
		if err == nil {
			stream, err = far.Seal(stream)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, errTyped := typed.Write([]byte("half"))
		got := make([]byte, 4)
		if _, err := io.ReadFull(stream, got); err != nil || errTyped != nil || string(got) != "half" {
			t.Fatal(string(got), err, errTyped)
		}
		_ = typed.CloseWithError(c.ends)
		if rest, err := io.ReadAll(stream); len(rest) != 0 || (err == nil) != (c.ends == nil) {
			t.Errorf("%s: the device got %q more (%v)", name, rest, err)
		}
		_ = stream.Close()
		if err := <-done; errs.KindOf(err) != c.kind || c.kind != "" && !strings.Contains(errs.UserText(err), "standard input") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of a gateway that shows somebody else's key nothing is kept, or the device itself would be refused from then on.
func TestAKeyThatNobodyHasProvedIsNotRemembered(t *testing.T) {
	t.Parallel()
	device, another := identity(t), identity(t)
	shown, terms := another.Fingerprint(), wire.TunnelTerms(wire.Target{}, false)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked httpapi.TunnelOpen
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		end, answer, err := mux.Answer(device, asked.ClientKey, asked.Hello, terms)
		if err != nil {
			t.Error(err)
			return
		}
		end.Close()
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(httpapi.TunnelOpening{Tunnel: httpapi.Tunnel{ProjectKey: 1, DeviceKey: 7}, DeviceKey: shown, Answer: answer, Gateway: "wss://127.0.0.1:1/"}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	var said bytes.Buffer
	inv := &invocation{Streams: Streams{Err: &said}, environ: []string{"BULKHEAD_CONTEXT_DIR=" + dir}}
	open := func() error {
		p := &passage{api: &client{inv: inv, context: Context{Server: srv.URL}, http: srv.Client()}}
		return p.open(t.Context(), inv, httpapi.Device{Key: 7}, "plant/press")
	}
	known := &knownDevices{file: filepath.Join(dir, "known_devices")}
	if err := open(); errs.KindOf(err) != wire.Unauthenticated || said.Len() > 0 {
		t.Errorf("a key that was not proved: %v, %s", err, said.String())
	}
	if _, err := os.Stat(known.file); err == nil {
		t.Error("something is remembered")
	}
	shown = device.Fingerprint()
	errOpen := open() // nobody is at its gateway
	keys, err := known.read()
	if err != nil || keys[knownAs(srv.URL, 7)] != shown || !strings.Contains(said.String(), "met for the first time") {
		t.Errorf("the device's own: %v, %v, %v, %s", keys, err, errOpen, said.String())
	}
}

func identity(t *testing.T) mux.Identity {
	t.Helper()
	own, err := mux.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return own
}
