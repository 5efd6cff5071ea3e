package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/server"
	"bulkhead/internal/server/servertest"
	"bulkhead/wire"
)

func TestTheKeyOfStoredSecretsMayComeFromASystemdCredential(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	file := filepath.Join(dir, "secrets.key")
	if _, err := secret.EnsureKeyring(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o440); err != nil { // as systemd makes it for a user of its own
		t.Fatal(err)
	}
	o := servertest.Options(t)
	servertest.Stop(t, start(t, o))
	if _, err := os.Stat(filepath.Join(o.Config.StateDir, "secrets.key")); !os.IsNotExist(err) {
		t.Errorf("there is a key in the state directory as well: %v", err)
	}
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(t.Context(), o); errs.KindOf(err) != wire.Invalid {
		t.Errorf("everybody may read the key: %v", err)
	}
}
