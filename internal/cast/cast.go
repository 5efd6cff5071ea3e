// Package cast writes and reads what a terminal has shown, in asciicast v2: a line of JSON for the whole and one for each event.
//
// It promises that what is written is ASCII which a terminal does not obey, that a character which comes in two parts is
// kept as one, that what is no text is marked and not lost in silence, and that what it makes of a recording for a terminal
// or a file shows something and steers nothing beside the screen.
package cast

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Header is the first line.
type Header struct {
	Version   int               `json:"version"`
	Width     int               `json:"width"`
	Height    int               `json:"height"`
	Timestamp int64             `json:"timestamp,omitempty"` // epoch seconds
	Command   string            `json:"command,omitempty"`
	Title     string            `json:"title,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
}

// Code is the kind of an event.
type Code string

// The codes.
const (
	Output Code = "o"
	Input  Code = "i"
	Resize Code = "r" // Data is WIDTHxHEIGHT
	Marker Code = "m"
)

// Event is a line after the first.
type Event struct {
	At   time.Duration
	Code Code
	Data string
}

// MaxLine is the longest line that is read.
const MaxLine = 1 << 20

// AppendHeader adds the first line.
func AppendHeader(to []byte, h Header) ([]byte, error) {
	h.Version = 2
	text, err := json.Marshal(h)
	if err != nil {
		return to, err
	}
	for _, r := range string(text) {
		to = appendRune(to, r)
	}
	return append(to, '\n'), nil
}

// AppendEvent adds the line of an event. What is not UTF-8 becomes U+FFFD.
func AppendEvent(to []byte, e Event) []byte {
	to = append(to, '[')
	to = strconv.AppendFloat(to, e.At.Seconds(), 'f', 6, 64)
	to = append(to, ", \""...)
	to = append(to, e.Code...)
	to = append(to, "\", \""...)
	for _, r := range e.Data {
		switch r {
		case '"', '\\':
			to = append(to, '\\', byte(r))
		default:
			to = appendRune(to, r)
		}
	}
	return append(to, "\"]\n"...)
}

// appendRune writes what prints as it is, and all else as an escape of JSON.
func appendRune(to []byte, r rune) []byte {
	if unicode.IsPrint(r) {
		return utf8.AppendRune(to, r)
	}
	for _, unit := range utf16.AppendRune(nil, r) {
		to = fmt.Appendf(to, `\u%04x`, unit)
	}
	return to
}

var errLine = errors.New("not asciicast v2")

// ParseHeader reads the first line.
func ParseHeader(line []byte) (h Header, err error) {
	if err := json.Unmarshal(line, &h); err != nil || h.Version != 2 || h.Width < 0 || h.Height < 0 {
		return Header{}, errLine
	}
	return h, nil
}

// ParseEvent reads another line.
func ParseEvent(line []byte) (Event, error) {
	var parts []json.RawMessage
	var at float64
	var e Event
	if json.Unmarshal(line, &parts) != nil || len(parts) != 3 || json.Unmarshal(parts[0], &at) != nil ||
		json.Unmarshal(parts[1], &e.Code) != nil || json.Unmarshal(parts[2], &e.Data) != nil {
		return Event{}, errLine
	}
	if !(at >= 0) || at > math.MaxInt64/float64(2*time.Second) {
		return Event{}, errLine
	}
	e.At = time.Duration(at * float64(time.Second))
	return e, nil
}

// Splitter makes text of bytes that come in parts. The zero Splitter has none.
type Splitter struct{ rest []byte }

// Text gives what is whole so far; what may be the beginning of a character waits for the rest of it.
func (s *Splitter) Text(b []byte) string {
	all := append(s.rest, b...)
	whole := len(all)
	for back := 1; back < utf8.UTFMax && back <= len(all); back++ {
		if c := all[len(all)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(all[len(all)-back:]) {
				whole = len(all) - back
			}
			break
		}
	}
	text := string(all[:whole])
	s.rest = append([]byte(nil), all[whole:]...)
	return text
}

// Rest gives what never became whole.
func (s *Splitter) Rest() string {
	text := string(s.rest)
	s.rest = nil
	return text
}
