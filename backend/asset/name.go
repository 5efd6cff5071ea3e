package asset

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const maxTitle = 200

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// checkName admits the names of projects, apps, devices and services. A name can be mistaken neither for a key, which
// begins with a digit, nor for a serial.
func checkName(what, name string) error {
	if !nameForm.MatchString(name) {
		return errs.E(wire.Invalid, "%s: not a name: want 1 to 63 of a-z, 0-9 and -, beginning with a letter", what)
	}
	if _, err := wire.ParseSerial(name); err == nil {
		return errs.E(wire.Invalid, "%s: a name must not look like a serial", what)
	}
	return nil
}

// checkTitle admits any text on one line.
func checkTitle(title string) error {
	control := strings.ContainsFunc(title, unicode.IsControl)
	if !utf8.ValidString(title) || control || utf8.RuneCountInString(title) > maxTitle {
		return errs.E(wire.Invalid, "title: want at most %d characters on one line", maxTitle)
	}
	return nil
}
