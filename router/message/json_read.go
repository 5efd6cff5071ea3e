package message

import (
	"strconv"
	"unicode/utf8"
)

// space passes over white space.
func (r *reader) space() {
	for r.i < len(r.s) {
		switch r.s[r.i] {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return
		}
	}
}

// jsonPeek gives the first byte of the next token, 0 at the end.
func (r *reader) jsonPeek() byte {
	if r.i < len(r.s) && r.s[r.i] > ' ' {
		return r.s[r.i]
	}
	r.space()
	if r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

func (r *reader) jsonMore(q *seq) bool {
	c := r.jsonPeek()
	if (c == ']' && !q.dict) || (c == '}' && q.dict) {
		r.i++
		return false
	}
	if q.begun {
		if c != ',' {
			r.failJSON()
			return true // not closed; the error ends the walk
		}
		r.i++
	}
	q.begun = true
	return true
}

func (r *reader) failJSON() {
	if r.i >= len(r.s) {
		r.fail(reasonShort)
		return
	}
	r.fail(reasonJSON)
}

func (r *reader) jsonKey() string {
	if r.jsonPeek() != '"' {
		r.failJSON()
		return ""
	}
	raw, escaped := r.jsonString()
	if r.jsonPeek() != ':' {
		r.failJSON()
		return ""
	}
	r.i++
	if !escaped {
		return raw
	}
	key, _ := unescape(raw)
	return key
}

func (r *reader) jsonValue() token {
	switch r.jsonPeek() {
	case '"':
		return r.jsonText()
	case '[':
		r.i++
		return r.open(kindList, untold)
	case '{':
		r.i++
		return r.open(kindDict, untold)
	case 'n':
		r.literal("null")
		return token{kind: kindNull}
	case 't':
		r.literal("true")
		return token{kind: kindBool, num: 1}
	case 'f':
		r.literal("false")
		return token{kind: kindBool}
	default:
		return r.jsonNumber()
	}
}

func (r *reader) literal(word string) {
	if len(r.s)-r.i < len(word) || r.s[r.i:r.i+len(word)] != word {
		r.fail(reasonJSON)
		return
	}
	r.i += len(word)
}

// jsonText reads a string, which is a binary where it says so.
func (r *reader) jsonText() token {
	raw, escaped := r.jsonString()
	if !escaped {
		return token{kind: kindText, text: raw}
	}
	text, whole := unescape(raw)
	if bin, ok := binaryOf(text); ok {
		return token{kind: kindBinary, text: bin}
	}
	if !whole {
		return token{kind: kindText, tag: dented, text: text}
	}
	return token{kind: kindText, text: text}
}

// jsonString passes over a string and gives what is between the quotes.
func (r *reader) jsonString() (raw string, escaped bool) {
	s, start, ascii := r.s, r.i+1, true
	i := start
	for {
		i = plainRun(s, i)
		if i >= len(s) {
			r.i = len(s)
			r.fail(reasonShort)
			return "", false
		}
		switch c := s[i]; {
		case c == '"':
			r.i = i + 1
			if !ascii && !utf8.ValidString(s[start:i]) {
				r.fail(reasonUTF8)
			}
			return s[start:i], escaped
		case c == '\\':
			n := escapeLen(s[i:])
			if n == 0 {
				r.i = i
				r.failJSON()
				return "", false
			}
			escaped = true
			i += n
		case c < ' ':
			r.i = i
			r.fail("a JSON string has a control character")
			return "", false
		default: // not ASCII
			ascii = false
			i++
		}
	}
}

// jsonNumber reads a number: an integer where it is written as one.
func (r *reader) jsonNumber() token {
	start := r.i
	integral, ok := r.numberSpan()
	if !ok {
		r.failJSON()
		return token{}
	}
	text := r.s[start:r.i]
	if !integral {
		return floatToken(floatOf(text))
	}
	if text[0] != '-' {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return token{kind: kindUint, num: n}
		}
		return floatToken(floatOf(text))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return floatToken(floatOf(text))
	case n == 0:
		return token{kind: kindUint}
	}
	return token{kind: kindInt, num: uint64(n)}
}

// floatOf is the nearest float; infinite where the number is too large.
func floatOf(text string) float64 {
	f, _ := strconv.ParseFloat(text, 64)
	return f
}

// numberSpan passes over a number.
func (r *reader) numberSpan() (integral, ok bool) {
	i := r.i
	if i < len(r.s) && r.s[i] == '-' {
		i++
	}
	from := i
	i = digits(r.s, i)
	if i == from || (r.s[from] == '0' && i > from+1) {
		return false, false
	}
	integral = true
	if i < len(r.s) && r.s[i] == '.' {
		integral, from = false, i+1
		if i = digits(r.s, from); i == from {
			return false, false
		}
	}
	if i < len(r.s) && (r.s[i] == 'e' || r.s[i] == 'E') {
		integral, from = false, i+1
		if from < len(r.s) && (r.s[from] == '+' || r.s[from] == '-') {
			from++
		}
		if i = digits(r.s, from); i == from {
			return false, false
		}
	}
	r.i = i
	return integral, true
}

func digits(s string, i int) int {
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// jsonSkipScalar passes over the next value where it is no list or dictionary.
func (r *reader) jsonSkipScalar() bool {
	switch c := r.jsonPeek(); {
	case c == '"':
		r.jsonString()
		return true
	case c == '-' || c-'0' <= 9:
		if _, ok := r.numberSpan(); !ok {
			r.failJSON()
		}
		return true
	}
	return false
}
