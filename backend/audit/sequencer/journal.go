package sequencer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/secret"
)

// compactAt is the size of a journal that is written anew with the newest state of each log.
const compactAt = 4 << 20

// Journal remembers, in a file beside the key, the newest state of each log that was signed. What the database says is
// compared with it: whoever rewrites the database does not reach it. A state is in the journal before anybody is shown its
// checkpoint.
type Journal struct {
	path   string
	file   *os.File
	size   int64
	states map[ledger.Log]ledger.State
}

// OpenJournal reads the journal; where there is no file it is empty.
func OpenJournal(path string) (*Journal, error) {
	j := &Journal{path: path, states: map[ledger.Log]ledger.State{}}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// A line that a crash cut off was of a state that nobody was shown.
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for n, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		state, log, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n+1, err)
		}
		j.states[log] = state
	}
	return j, j.compact()
}

// parseLine reads a state of any log, that of the logs too.
func parseLine(line []byte) (ledger.State, ledger.Log, error) {
	var s ledger.State
	if err := json.Unmarshal(line, &s); err != nil {
		return s, 0, err
	}
	log, err := ledger.ParseLog(s.Log)
	return s, log, err
}

// States are the newest signed states.
func (j *Journal) States() map[ledger.Log]ledger.State { return j.states }

// Append keeps states for good before it returns.
func (j *Journal) Append(states []ledger.State) error {
	var lines []byte
	for _, s := range states {
		lines = append(append(lines, s.Leaf()...), '\n')
	}
	if _, err := j.file.Write(lines); err != nil {
		// A part of a line may stand there: what follows must not be glued to it.
		return errors.Join(err, j.file.Truncate(j.size))
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size += int64(len(lines))
	for _, s := range states {
		log, err := ledger.ParseLog(s.Log)
		if err != nil {
			return err
		}
		j.states[log] = s
	}
	if j.size > compactAt {
		return j.compact()
	}
	return nil
}

func (j *Journal) compact() error {
	var lines []byte
	for _, s := range j.states {
		lines = append(append(lines, s.Leaf()...), '\n')
	}
	if err := secret.WriteFile(j.path, lines); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.size = file, int64(len(lines))
	if old == nil {
		return nil
	}
	return old.Close()
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
