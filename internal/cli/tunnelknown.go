package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// knownDevices are the keys by which devices proved themselves before, past every gateway: server and key of the device to
// the device's key for tunnels. Commands that run at once may use the file: it is read as a whole, and changed by one at a time.
type knownDevices struct{ file string }

func (inv *invocation) knownDevices() (*knownDevices, error) {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return nil, err
	}
	return &knownDevices{file: filepath.Join(contexts.Dir, "known_devices")}, nil
}

func knownAs(server string, device wire.Key) string { return server + " " + device.String() }

// check compares a device's key with the one that it had, and remembers that of a device which is met for the first time.
func (k *knownDevices) check(server string, device wire.Key, name, key string) (first bool, err error) {
	id := knownAs(server, device)
	keys, err := k.read()
	if err != nil {
		return false, err
	}
	if _, met := keys[id]; !met {
		err = k.change(func(now map[string]string) error {
			if _, met := now[id]; !met { // another command may have met it meanwhile
				now[id], first = key, true
			}
			keys = now
			return nil
		})
	}
	if known := keys[id]; err == nil && known != key {
		err = errs.E(wire.Unauthenticated, "the key of %s has changed.\n  before: %s\n  now:    %s\n"+
			"The device was set up anew and lost its state folder, or somebody stands between you and it.\n"+
			"If you know that it was set up anew, type: bulkhead tunnel forget %s", name, known, key, name)
	}
	return first, err
}

func (k *knownDevices) forget(server string, device wire.Key) error {
	return k.change(func(keys map[string]string) error {
		if _, met := keys[knownAs(server, device)]; !met {
			return errs.E(wire.NotFound, "this device was never met from here")
		}
		delete(keys, knownAs(server, device))
		return nil
	})
}

func (k *knownDevices) read() (map[string]string, error) {
	keys := map[string]string{}
	text, err := os.ReadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return keys, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	return keys, errs.As(wire.Invalid, err, "%s cannot be read: mend it, or remove it to meet all devices anew", k.file)
}

// change changes the file while no other command does.
func (k *knownDevices) change(do func(map[string]string) error) error {
	unlock, err := k.lock()
	if err != nil {
		return errs.As(wire.Invalid, err, "%s cannot be written", k.file)
	}
	defer unlock()
	keys, err := k.read()
	if err != nil {
		return err
	}
	if err := do(keys); err != nil {
		return err
	}
	text, err := json.MarshalIndent(keys, "", "  ")
	if err == nil {
		err = secret.WriteFile(k.file, append(text, '\n'))
	}
	return errs.As(wire.Invalid, err, "%s cannot be written", k.file)
}

// lock waits for its turn. The kernel unlocks what a killed command leaves.
func (k *knownDevices) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(k.file), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(k.file+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX) //nolint:gosec // a descriptor is small
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}
