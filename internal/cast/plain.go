package cast

import (
	"io"
	"strings"
	"unicode"
)

// maxColumns bounds a line of plain text; what is beyond begins another.
const maxColumns = 16 << 10

// Plain writes what was shown as lines of text, as one would have read them: what was overwritten in a line or erased
// there is gone. Movements between lines are left out. Close writes the last line.
type Plain struct {
	to      io.Writer
	scanner scanner
	line    []rune
	column  int
	err     error
}

// NewPlain makes a Plain.
func NewPlain(to io.Writer) *Plain { return &Plain{to: to} }

// Show takes what was shown.
func (p *Plain) Show(text string) error {
	p.scanner.scan(text, p.put, p.obey)
	return p.err
}

// Close writes what is left.
func (p *Plain) Close() error {
	if len(p.line) > 0 {
		p.end()
	}
	return p.err
}

func (p *Plain) put(r rune) {
	switch {
	case r == '\n':
		p.end()
	case r == '\r':
		p.column = 0
	case r == '\b':
		p.column = max(0, p.column-1)
	case r == '\t':
		for ok := true; ok; ok = p.column%8 != 0 {
			p.draw(' ')
		}
	case unicode.IsPrint(r):
		p.draw(r)
	}
}

func (p *Plain) draw(r rune) {
	if p.column >= maxColumns {
		p.end()
	}
	for len(p.line) <= p.column {
		p.line = append(p.line, ' ')
	}
	p.line[p.column] = r
	p.column++
}

func (p *Plain) end() {
	if p.err == nil {
		_, p.err = io.WriteString(p.to, strings.TrimRight(string(p.line), " ")+"\n")
	}
	p.line, p.column = p.line[:0], 0
}

// obey follows what happens within a line.
func (p *Plain) obey(sequence string) {
	switch sequence {
	case "\x1b[K", "\x1b[0K", "\x1b[J", "\x1b[0J":
		p.line = p.line[:min(p.column, len(p.line))]
	case "\x1b[2K":
		p.line = p.line[:0]
	case "\x1b[1K":
		for i := range min(p.column+1, len(p.line)) {
			p.line[i] = ' '
		}
	case "\x1b[C":
		p.column = min(p.column+1, maxColumns)
	case "\x1b[D":
		p.column = max(0, p.column-1)
	case "\x1b[G", "\x1b[1G":
		p.column = 0
	}
}
