package message

import (
	"encoding/base64"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainRun gives the index, from i on, of the first byte of a JSON string that is not plain ASCII text: a quote, a backslash, a
// control character or a byte above 127.
func plainRun(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		// A byte's high bit comes out set where the byte is special; above the first such byte a carry may set others.
		special := (w - ones*' ') | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | w
		if special &= highs; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// escapeLen is the length of the escape sequence with which s begins, 0 where it is none.
func escapeLen(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) >= 6 && isHex(s[2]) && isHex(s[3]) && isHex(s[4]) && isHex(s[5]) {
			return 6
		}
	}
	return 0
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c|0x20-'a' <= 5
}

// unescape gives the text of a JSON string that jsonString has passed. A lone surrogate becomes U+FFFD, and whole false.
func unescape(raw string) (text string, whole bool) {
	var b strings.Builder
	b.Grow(len(raw))
	whole = true
	for {
		i := strings.IndexByte(raw, '\\')
		if i < 0 {
			b.WriteString(raw)
			return b.String(), whole
		}
		b.WriteString(raw[:i])
		raw = raw[i:]
		if raw[1] != 'u' {
			b.WriteByte(shortEscape(raw[1]))
			raw = raw[2:]
			continue
		}
		c, n := runeEscape(raw)
		whole = whole && c >= 0
		b.WriteRune(c) // U+FFFD for -1
		raw = raw[n:]
	}
}

func shortEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// runeEscape reads \uXXXX, or two of them that are a surrogate pair. The rune is -1 for a lone surrogate.
func runeEscape(s string) (c rune, n int) {
	c = hex4(s[2:6])
	if !utf16.IsSurrogate(c) {
		return c, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(c, hex4(s[8:12])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return -1, 6
}

func hex4(s string) rune {
	n, _ := strconv.ParseUint(s, 16, 16)
	return rune(n)
}

// binaryOf reads WAMP's convention for binaries in JSON: a NUL, then base64.
//
// Source: the WAMP specification, "Binary support in JSON".
func binaryOf(text string) (string, bool) {
	if text == "" || text[0] != 0 {
		return "", false
	}
	bin, err := base64.StdEncoding.DecodeString(text[1:])
	return string(bin), err == nil
}
