// Package ledger is the Merkle logs that audit entries stand in: their names, trees, checkpoints, tiles and proofs.
//
// It promises the hashes of RFC 6962, checkpoints that are C2SP notes with Ed25519 signatures, and tiles and bundles of
// entries as C2SP tlog-tiles has them; that what it reads from elsewhere, a server or a file, is believed only as far as a
// signature and hashes prove it; and that no malformed text makes it do more than say so. It does no I/O of its own.
package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bulkhead/wire"
)

// Log names a log: a project's by its key, the platform's, or the log of the logs.
type Log int64

// The logs that are no project's.
const (
	Logs     Log = -1 // has a leaf for each new state of each other log
	Platform Log = 0
)

// LogOf gives the log of a project; zero is the platform's.
func LogOf(project wire.Key) Log { return Log(project) }

// String is the log's name in origins, paths and files.
func (l Log) String() string {
	switch l {
	case Logs:
		return "logs"
	case Platform:
		return "platform"
	default:
		return strconv.FormatInt(int64(l), 10)
	}
}

// ParseLog reads a log's name. There is one way to write each.
func ParseLog(text string) (Log, error) {
	switch text {
	case "logs":
		return Logs, nil
	case "platform":
		return Platform, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !wire.Key(n).Valid() || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("no log is called %q: want platform, logs or the key of a project", text)
	}
	return Log(n), nil
}

// Origin is what a log's checkpoints say they are of.
func Origin(server string, l Log) string { return server + "/" + l.String() }

// Checkpoint is the state of a log that somebody signed.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Note   string // as it was signed
}

// maxNote bounds what is read as a checkpoint.
const maxNote = 16 << 10

// Sign makes a checkpoint.
func Sign(origin string, size int64, root tlog.Hash, by note.Signer) (Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)
	signed, err := note.Sign(&note.Note{Text: text}, by)
	return Checkpoint{origin, size, root, string(signed)}, err
}

// Open believes a checkpoint that the key has signed for this origin.
func Open(text []byte, origin string, by note.Verifier) (Checkpoint, error) {
	c, err := OpenAny(text, by)
	if err == nil && c.Origin != origin {
		return Checkpoint{}, fmt.Errorf("the checkpoint is of %q, not of %q", c.Origin, origin)
	}
	return c, err
}

// OpenAny is Open for a checkpoint of any log.
func OpenAny(text []byte, by note.Verifier) (Checkpoint, error) {
	if len(text) > maxNote {
		return Checkpoint{}, fmt.Errorf("the checkpoint has %d bytes", len(text))
	}
	opened, err := note.Open(text, note.VerifierList(by))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the checkpoint is not signed with the key %s: %w", by.Name(), err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("the checkpoint has %d lines", len(lines)-1)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("the checkpoint's size is %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return Checkpoint{}, fmt.Errorf("the checkpoint's root is no hash")
	}
	return Checkpoint{lines[0], size, root, string(text)}, nil
}

// State is a leaf of the log of the logs: how far another log was.
type State struct {
	Version int       `json:"version"`
	Log     string    `json:"log"`
	Size    int64     `json:"size"`
	Root    tlog.Hash `json:"root"`
	Time    time.Time `json:"time"`
}

// StateVersion is the version of the states that this program writes.
const StateVersion = 1

// Leaf gives the exact bytes of a state.
func (s State) Leaf() []byte {
	text, err := json.Marshal(s)
	if err != nil { // a year beyond 9999
		panic(err)
	}
	return text
}

// ParseState reads a leaf of the log of the logs.
func ParseState(leaf []byte) (s State, of Log, err error) {
	if err := json.Unmarshal(leaf, &s); err != nil {
		return State{}, 0, fmt.Errorf("a leaf of the log of the logs: %w", err)
	}
	of, err = ParseLog(s.Log)
	if err == nil && (s.Version != StateVersion || s.Size < 1 || of == Logs) {
		err = fmt.Errorf("a leaf of the log of the logs has version %d, log %q and size %d", s.Version, s.Log, s.Size)
	}
	return s, of, err
}
