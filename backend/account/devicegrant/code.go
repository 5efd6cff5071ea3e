package devicegrant

import (
	"crypto/rand"
	"strings"
)

// alphabet has no vowels, so that no words come up, and no letters that are taken for others: RFC 8628, 6.1.
const alphabet = "BCDFGHJKLMNPQRSTVWXZ"

const userCodeSize = 8

// newUserCode draws a code of 34 bits. Guessing one costs an approver's patience: see guesses.
func newUserCode() string {
	code := make([]byte, 0, userCodeSize)
	var b [2 * userCodeSize]byte
	for len(code) < userCodeSize {
		_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
		for _, c := range b {
			if c < 240 && len(code) < userCodeSize { // 240 is a multiple of 20: each letter is as likely as another
				code = append(code, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(code)
}

// shown is a code as people read it.
func shown(code string) string { return code[:userCodeSize/2] + "-" + code[userCodeSize/2:] }

// typed reads a code as people write it: in any case, with or without the hyphen and spaces. ok is false for what is none.
func typed(text string) (code string, ok bool) {
	if len(text) > 4*userCodeSize {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(text))
	return code, len(code) == userCodeSize && strings.Trim(code, alphabet) == ""
}
