package agent_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/agent"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func strangersCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func flashText(t *testing.T) []byte {
	t.Helper()
	w := newWorld(t)
	text, err := json.MarshalIndent(w.flash, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestABadFlashFileIsNamedWithItsFaultAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	good := flashText(t)
	for name, c := range map[string]struct {
		text []byte
		mode os.FileMode
		want string
	}{
		"empty":            {nil, 0o600, "empty"},
		"truncated":        {good[:len(good)/2], 0o600, "truncated"},
		"not JSON":         {[]byte("router: x"), 0o600, "line 1: not JSON"},
		"another version":  {bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 9`), 1), 0o600, "version: is 9, this agent reads 1"},
		"unknown member":   {bytes.Replace(good, []byte(`"version"`), []byte(`"verzion"`), 1), 0o600, "verzion"},
		"plain ws":         {bytes.Replace(good, []byte(`wss://`), []byte(`ws://`), 1), 0o600, "router: want a URL"},
		"two objects":      {append(append([]byte{}, good...), good...), 0o600, "more than one"},
		"large":            {bytes.Repeat([]byte(" "), wire.MaxFlash+1), 0o600, "larger than"},
		"others can write": {good, 0o622, "others can write it"},
	} {
		path := filepath.Join(t.TempDir(), "press-1.flash")
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := agent.ReadFlash(path, slog.New(slog.DiscardHandler))
		said := errs.UserText(err)
		if errs.KindOf(err) != wire.Invalid || !strings.Contains(said, path) || !strings.Contains(said, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, c.text) { //nolint:gosec // the test's own file
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := agent.ReadFlash(t.TempDir(), slog.New(slog.DiscardHandler)); !strings.Contains(errs.UserText(err), "not a file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := agent.ReadFlash(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler)); !strings.Contains(errs.UserText(err), "there is none") {
		t.Errorf("no file: %v", err)
	}
}

func TestAFlashFileThatOthersCanReadIsWarnedOf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "press-1.flash")
	if err := os.WriteFile(path, flashText(t), 0o644); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	var said bytes.Buffer
	if _, err := agent.ReadFlash(path, slog.New(slog.NewTextHandler(&said, nil))); err != nil || !strings.Contains(said.String(), "others can read") {
		t.Errorf("said %q, %v", said.String(), err)
	}
}
