package server

import (
	"os"
	"path/filepath"
	"time"

	"bulkhead/backend/rotation"
	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const secretsFile = "secrets.key"

// loadSecrets opens the keys that seal what is stored: the credential that systemd gives, where there is one of that name,
// else a file of the state directory, which is made at the first start.
func (s *Server) loadSecrets() error {
	source := rotation.Source(keyFile(s.file(secretsFile)))
	var err error
	if credential := credentialFile(); credential != "" {
		source = nil
		s.sealer, err = secret.LoadCredential(credential)
	} else {
		s.sealer, err = secret.EnsureKeyring(s.file(secretsFile))
	}
	if err != nil {
		return errs.As(wire.Invalid, err, "the key file of stored secrets cannot be used")
	}
	s.rotation = rotation.New(rotation.Config{
		Store: db.NewSealed(s.db), Keys: s.sealer, Source: source, Audit: db.NewAudit(s.db), Log: s.log, Now: time.Now,
	})
	return nil
}

// credentialFile is what LoadCredential=secrets.key:… of a systemd unit gives; "" where there is none.
func credentialFile() string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, secretsFile)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// keyFile is a key file of ours.
type keyFile string

// Add writes a key before the others.
func (f keyFile) Add(key secret.Value) (*secret.Keyring, error) { return secret.AddKey(string(f), key) }

// Drop takes a key away.
func (f keyFile) Drop(id secret.KeyID) (*secret.Keyring, error) {
	return secret.DropKey(string(f), id)
}
