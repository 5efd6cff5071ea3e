package state

import (
	"errors"
	"io/fs"
	"path/filepath"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Status is what an agent tells the people at the device about itself. It has no secret.
type Status struct {
	PID      int         `json:"pid"`
	Agent    string      `json:"agent"` // version of the program
	Name     string      `json:"name"`
	Serial   wire.Serial `json:"serial"`
	Router   string      `json:"router"`
	Started  int64       `json:"started"` // epoch milliseconds
	Written  int64       `json:"written"` // epoch milliseconds
	Boot     uint64      `json:"boot"`
	Running  bool        `json:"running"`
	Realms   []Realm     `json:"realms"` // the device realm first
	Buffered int         `json:"buffered"`
	Dropped  uint64      `json:"dropped"`
	Refused  uint64      `json:"refused"`
}

// Realm is how an agent stands in one realm.
type Realm struct {
	Realm  string `json:"realm"`
	App    string `json:"app,omitempty"`
	Joined bool   `json:"joined"`
	Since  int64  `json:"since"` // epoch milliseconds
	Reason string `json:"reason,omitempty"`
}

const statusFile = "status.json"

// WriteStatus replaces the status.
func (d *Dir) WriteStatus(s Status) error { return d.write(statusFile, s) }

// ReadStatus reads the status that an agent left in the folder; Running tells whether that agent runs now.
func ReadStatus(path string) (Status, error) {
	var s Status
	err := readJSON(filepath.Join(path, statusFile), &s)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, errs.E(wire.NotFound, "no agent has run with the state folder %s", path)
	case errors.Is(err, fs.ErrPermission):
		return s, errs.As(wire.Denied, err, "the state folder %s cannot be read", path)
	case err != nil:
		return s, errs.As(wire.Internal, err, "the status in %s cannot be read", path)
	}
	s.Running, err = InUse(path)
	return s, err
}
