package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// verificationError says that what was checked is not what it claims to be.
type verificationError struct{ why string }

func (e *verificationError) Error() string { return "verification failed: " + e.why }

// exitVerification is the exit code of a verification that failed.
const exitVerification = 7

// knownLogs is what this user has seen of audit logs: the key of each server, and the newest state of each log. A server
// that is set back to an older backup, or has another key, is noticed by it.
type knownLogs struct {
	Servers map[string]string                  `json:"servers"` // URL to key
	Logs    map[string]map[string]ledger.State `json:"logs"`    // key to log to state

	file string
}

// knownLogs are those of the folder in which a context remembers its server.
func (inv *invocation) knownLogs(c Context) (*knownLogs, error) {
	dir, err := inv.seenIn(c)
	if err != nil {
		return nil, err
	}
	k := &knownLogs{file: filepath.Join(dir, "audit-logs.json"), Servers: map[string]string{}, Logs: map[string]map[string]ledger.State{}}
	text, err := os.ReadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, Contexts{dir}.makeDir()
	}
	if err == nil {
		err = json.Unmarshal(text, k)
	}
	return k, errs.As(wire.Invalid, err, "%s, which remembers audit logs, cannot be read: it is needed to notice that a server was set back", k.file)
}

func (k *knownLogs) save() error {
	text, err := json.MarshalIndent(k, "", "  ")
	if err == nil {
		err = secret.WriteFile(k.file, append(text, '\n'))
	}
	return errs.As(wire.Unavailable, err, "%s cannot be written", k.file)
}

// states are those that were seen of a log.
func (k *knownLogs) states(key string, l ledger.Log) []ledger.State {
	if s, seen := k.Logs[key][l.String()]; seen {
		return []ledger.State{s}
	}
	return nil
}

func (k *knownLogs) saw(key string, l ledger.Log, c ledger.Checkpoint) {
	if k.Logs[key] == nil {
		k.Logs[key] = map[string]ledger.State{}
	}
	if c.Size > 0 && c.Size >= k.Logs[key][l.String()].Size {
		k.Logs[key][l.String()] = ledger.State{Version: ledger.StateVersion, Log: l.String(), Size: c.Size, Root: c.Root, Time: time.Now().UTC().Truncate(time.Second)}
	}
}

// trust gives the key of a server as it was seen first. Another key is refused unless the user accepts it.
func (k *knownLogs) trust(server, key string, accept bool) (note.Verifier, error) {
	if seen, met := k.Servers[server]; met && seen != key && !accept {
		return nil, &verificationError{fmt.Sprintf("%s signs its audit log with another key than before\n  before: %s\n  now:    %s\nAsk whoever runs it why. To accept the new key: --accept-new-key", server, seen, key)}
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, &verificationError{"the server's key is no key: " + err.Error()}
	}
	k.Servers[server] = key
	return v, nil
}

// chosenKey is what --key names: the key itself or a file that has it; without it, the one key of the name that signed and
// that was seen of a server before, the current context's or any other. It comes with what was seen of that key's logs.
func (inv *invocation) chosenKey(flag, signer string) (*knownLogs, note.Verifier, string, error) {
	if text, err := os.ReadFile(flag); err == nil {
		flag = string(text)
	}
	flag = strings.TrimSpace(flag)
	wanted := func(key string) bool {
		v, err := note.NewVerifier(key)
		return err == nil && (key == flag || flag == "" && v.Name() == signer)
	}
	k, key, err := inv.whereSeen(wanted)
	switch {
	case err != nil:
		return nil, nil, "", err
	case key == "" && flag == "":
		return nil, nil, "", &verificationError{fmt.Sprintf("nothing says that the signer %q is to be believed: give --key with the key that its server showed, or verify that server first", signer)}
	case key == "":
		key = flag
	}
	v, err := note.NewVerifier(key)
	return k, v, key, errs.As(wire.Invalid, err, "--key: want a key like NAME+HASH+KEY, or a file that has one")
}

// whereSeen looks for the key of a server where the current context remembers, and then where all others do.
func (inv *invocation) whereSeen(wanted func(key string) bool) (*knownLogs, string, error) {
	if current, err := inv.resolve(); err == nil && current.Seen != "" {
		if k, err := inv.knownLogs(current); err == nil {
			if key := k.find(wanted); key != "" {
				return k, key, nil
			}
		}
	}
	k, err := inv.knownLogs(Context{})
	if err != nil {
		return nil, "", err
	}
	return k, k.find(wanted), nil
}

func (k *knownLogs) find(wanted func(key string) bool) string {
	for _, key := range k.Servers {
		if wanted(key) {
			return key
		}
	}
	return ""
}
