package cast

import (
	"strings"
	"unicode"
)

// Sequences of a terminal as ECMA-48 has them. A scanner finds them in a text that comes in parts.
type scanner struct {
	state    state
	sequence strings.Builder // from its introducer on, while in one
}

type state uint8

const (
	ground state = iota
	escape
	control // CSI
	command // OSC, DCS, SOS, PM, APC: up to their terminator
	closing // an ESC within a command
)

// maxSequence bounds what is kept of a control sequence; longer ones are dropped.
const maxSequence = 256

// scan calls text with each character outside of sequences, and sequence with each whole one in its 7-bit form. Commands,
// which steer what is beside the screen, are dropped.
func (s *scanner) scan(in string, text func(rune), sequence func(string)) {
	for _, r := range in {
		s.step(r, text, sequence)
	}
}

func (s *scanner) step(r rune, text func(rune), sequence func(string)) {
	switch {
	case r == 0x18 || r == 0x1a: // they cancel
		s.state = ground
	case r == 0x1b && s.state == command:
		s.state = closing
	case r == 0x1b:
		s.begin(escape)
	case s.state == closing && r == '\\', s.state == command && (r == 0x07 || r == 0x9c):
		s.state = ground
	case s.state == closing:
		s.begin(escape)
		s.step(r, text, sequence)
	case s.state == command:
	case r == 0x9b:
		s.begin(control)
	case r == 0x90 || r == 0x98 || r >= 0x9d && r <= 0x9f:
		s.state = command
	case s.state == escape:
		s.introduce(r, sequence)
	case s.state == control:
		s.parameter(r, text, sequence)
	default:
		text(r)
	}
}

func (s *scanner) begin(in state) {
	s.state = in
	s.sequence.Reset()
	s.sequence.WriteByte(0x1b)
	if in == control {
		s.sequence.WriteByte('[')
	}
}

func (s *scanner) introduce(r rune, sequence func(string)) {
	switch {
	case r == '[':
		s.begin(control)
	case strings.ContainsRune("]PX^_", r):
		s.state = command
	case r >= 0x20 && r <= 0x2f && s.sequence.Len() < maxSequence: // intermediate
		s.sequence.WriteRune(r)
	default:
		s.state = ground
		if r >= 0x30 && r <= 0x7e {
			s.sequence.WriteRune(r)
			sequence(s.sequence.String())
		}
	}
}

func (s *scanner) parameter(r rune, text func(rune), sequence func(string)) {
	switch {
	case r < 0x20: // obeyed within a sequence, as terminals do
		text(r)
	case r > 0x7e:
		s.state = ground
	case s.sequence.Len() >= maxSequence:
		if r >= 0x40 {
			s.state = ground
		}
	case r < 0x40:
		s.sequence.WriteRune(r)
	default:
		s.state = ground
		s.sequence.WriteRune(r)
		sequence(s.sequence.String())
	}
}

// Screen passes on what draws on a terminal and nothing that asks it something, names its window, writes its clipboard or
// talks to a printer: what a recording has in it was chosen by others. The zero Screen is ready.
type Screen struct{ scanner scanner }

// Draw gives what may be written to a terminal.
func (s *Screen) Draw(in string) string {
	var out strings.Builder
	s.scanner.scan(in, func(r rune) {
		if unicode.IsPrint(r) || strings.ContainsRune("\a\b\t\n\v\f\r\x0e\x0f", r) || r == unicode.ReplacementChar {
			out.WriteRune(r)
		}
	}, func(sequence string) {
		if draws(sequence) {
			out.WriteString(sequence)
		}
	})
	return out.String()
}

// draws knows the sequences that move, erase, scroll, colour and change modes of the screen.
func draws(sequence string) bool {
	final, inner := sequence[len(sequence)-1], sequence[1:len(sequence)-1]
	if !strings.HasPrefix(inner, "[") {
		if inner == "" {
			return strings.IndexByte("78DEHM=>", final) >= 0
		}
		return len(inner) == 1 && strings.IndexByte("()*+", inner[0]) >= 0 // a character set
	}
	parameters := inner[1:]
	if strings.Trim(parameters, "0123456789;:") == "" {
		return strings.IndexByte("@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu", final) >= 0
	}
	private := strings.TrimPrefix(parameters, "?")
	return strings.HasPrefix(parameters, "?") && strings.Trim(private, "0123456789;") == "" && (final == 'h' || final == 'l' || final == 'J' || final == 'K') && !reports(private)
}

// reports are the modes in which a terminal sends what nobody typed: of the mouse, the focus and pasting.
func reports(modes string) bool {
	for mode := range strings.SplitSeq(modes, ";") {
		switch mode {
		case "9", "1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1015", "1016", "2004":
			return true
		}
	}
	return false
}

// Restore brings a terminal back from whatever a recording has left it in.
const Restore = "\x1b[?1049l\x1b[?47l\x1b[?1047l\x1b[?5l\x1b[?6l\x1b[?7h\x1b[?25h\x1b[?1l\x1b[4l\x1b[20l\x1b[r\x1b[m\x1b(B\x0f\x1b>"
