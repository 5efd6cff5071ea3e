package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// knownDevices are the keys by which devices proved themselves before, past every gateway: server and serial to key.
type knownDevices struct {
	file string
	keys map[string]string
}

func (inv *invocation) knownDevices() (*knownDevices, error) {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return nil, err
	}
	k := &knownDevices{file: filepath.Join(contexts.Dir, "known_devices"), keys: map[string]string{}}
	text, err := os.ReadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &k.keys)
	}
	return k, errs.As(wire.Invalid, err, "%s cannot be read: mend it, or remove it to meet all devices anew", k.file)
}

func knownAs(server string, device wire.Key) string { return server + " " + device.String() }

// check compares a device's key with the one that it had, and remembers that of a device which is met for the first time.
func (k *knownDevices) check(server string, device wire.Key, name, key string) (first bool, err error) {
	known, met := k.keys[knownAs(server, device)]
	switch {
	case !met:
		k.keys[knownAs(server, device)] = key
		return true, k.write()
	case known != key:
		return false, errs.E(wire.Unauthenticated, "the key of %s has changed.\n  before: %s\n  now:    %s\n"+
			"The device was set up anew and lost its state folder, or somebody stands between you and it.\n"+
			"If you know that it was set up anew, type: bulkhead tunnel forget %s", name, known, key, name)
	default:
		return false, nil
	}
}

func (k *knownDevices) forget(server string, device wire.Key) error {
	if _, met := k.keys[knownAs(server, device)]; !met {
		return errs.E(wire.NotFound, "this device was never met from here")
	}
	delete(k.keys, knownAs(server, device))
	return k.write()
}

func (k *knownDevices) write() error {
	text, err := json.MarshalIndent(k.keys, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(k.file), 0o700)
	}
	if err == nil {
		err = secret.WriteFile(k.file, append(text, '\n'))
	}
	return errs.As(wire.Invalid, err, "%s cannot be written", k.file)
}
