package message

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

func appendDecimal(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

// jsonFloat writes a float so that it reads as one; null for those that JSON lacks.
func (w *writer) jsonFloat(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		w.null()
		return
	}
	w.next()
	mark := len(w.b)
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		w.b = strconv.AppendFloat(w.b, v, 'e', -1, 64)
		return
	}
	w.b = strconv.AppendFloat(w.b, v, 'f', -1, 64)
	if bytes.IndexByte(w.b[mark:], '.') < 0 {
		w.b = append(w.b, ".0"...)
	}
}

func (w *writer) jsonText(s string) {
	w.next()
	w.b = append(w.b, '"')
	for {
		n := plainRun(s, 0)
		w.b = append(w.b, s[:n]...)
		if n == len(s) {
			break
		}
		s = w.jsonRune(s[n:])
	}
	w.b = append(w.b, '"')
}

// jsonRune writes the first character of s, which is not plain, and gives the rest.
func (w *writer) jsonRune(s string) string {
	if s[0] < utf8.RuneSelf {
		w.b = appendEscape(w.b, s[0])
		return s[1:]
	}
	c, n := utf8.DecodeRuneInString(s)
	if c == utf8.RuneError && n == 1 {
		w.fail(errUTF8)
	}
	w.b = append(w.b, s[:n]...)
	return s[n:]
}

func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// jsonBinary writes a binary as binaryOf reads it.
func (w *writer) jsonBinary(s string) {
	w.next()
	w.b = append(w.b, `"\u0000`...)
	w.b = base64.StdEncoding.AppendEncode(w.b, []byte(s))
	w.b = append(w.b, '"')
}
