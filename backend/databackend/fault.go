package databackend

import (
	"fmt"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Fault is one thing that is wrong in a file, with its place.
type Fault struct {
	File string
	Line int    // from 1; 0 where the fault has no line
	Path string // within the document, like data.tables[0].columns[2].id; empty for the whole
	Text string
}

func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}
	b.WriteString(": " + f.Text)
	return b.String()
}

// Faults is all that is wrong in a file, in the order of its lines. It is an invalid error whose whole text the user reads:
// who wrote the file can mend all of it at once.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each Fault to errors.As.
func (f Faults) Unwrap() []error {
	all := make([]error, len(f))
	for i, fault := range f {
		all[i] = fault
	}
	return all
}

// As makes Faults an *errs.Error of kind invalid.
func (f Faults) As(target any) bool {
	e, ok := target.(**errs.Error)
	if ok {
		*e = errs.E(wire.Invalid, "%s", f.Error())
	}
	return ok
}
