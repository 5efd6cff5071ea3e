package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// knownDevices are the keys by which devices proved themselves before, past every gateway: server and key of the device to
// the device's key for tunnels. Commands that run at once may use the file: it is read as a whole, and changed by one at a time.
type knownDevices struct{ file string }

// knownDevices are those of the folder in which a context remembers its server.
func (inv *invocation) knownDevices(c Context) (*knownDevices, error) {
	dir, err := inv.seenIn(c)
	return &knownDevices{file: filepath.Join(dir, "known_devices")}, err
}

func knownAs(server string, device wire.Key) string { return server + " " + device.String() }

// entriesOf are what a device is remembered as: by its key, and by the name that people type, because which key that has is
// the server's word.
func entriesOf(server string, device wire.Key, name string) []string {
	as := []string{knownAs(server, device)}
	if strings.Contains(name, "/") {
		as = append(as, server+" "+name)
	}
	return as
}

// check compares a device's key with the one that it had, and remembers that of a device which is met for the first time.
func (k *knownDevices) check(server string, device wire.Key, name, key string) (first bool, err error) {
	as := entriesOf(server, device, name)
	keys, err := k.read()
	if err == nil && slices.ContainsFunc(as, func(id string) bool { return keys[id] == "" }) {
		err = k.change(func(now map[string]string) error {
			first = meet(now, as, key) // another command may have met it meanwhile
			keys = now
			return nil
		})
	}
	if err != nil {
		return first, err
	}
	for i, id := range slices.Backward(as) {
		switch known := keys[id]; {
		case known == key, known == "":
		case i == 0:
			return first, errs.E(wire.Unauthenticated, "the key of %s has changed.\n  before: %s\n  now:    %s\n"+
				"The device was set up anew and lost its state folder, or somebody stands between you and it.\n"+
				"If you know that it was set up anew, type: bulkhead tunnel forget %s", name, known, key, name)
		default:
			err = errs.E(wire.Unauthenticated, "%s is another device than the one that had this name.\n  before: %s\n  now:    %s\n"+
				"It was removed and made again, or the server leads you to another.\n"+
				"If you know that it was made again, type: bulkhead tunnel forget %s", name, known, key, name)
		}
	}
	return first, err
}

// meet remembers a device that nothing speaks against, and tells whether it is met for the first time.
func meet(keys map[string]string, as []string, key string) (first bool) {
	first = true
	for _, id := range as {
		if known := keys[id]; known != "" && known != key {
			return false
		} else if known != "" {
			first = false
		}
	}
	for _, id := range as {
		keys[id] = key
	}
	return first
}

func (k *knownDevices) forget(server string, device wire.Key, name string) error {
	return k.change(func(keys map[string]string) error {
		met := false
		for _, id := range entriesOf(server, device, name) {
			met = met || keys[id] != ""
			delete(keys, id)
		}
		if !met {
			return errs.E(wire.NotFound, "this device was never met from here")
		}
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
