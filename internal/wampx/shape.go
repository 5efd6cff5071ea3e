package wampx

import (
	"bytes"
	"errors"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxNesting is how deep lists and dictionaries may lie in each other, as the router has it too.
const maxNesting = 64

var (
	errTooDeep  = errors.New("a message is nested too deep")
	errTooShort = errors.New("a list or dictionary is longer than its message")
)

// wellShaped reads the heads of a MessagePack value without building it. The library believes the length that a head
// claims, and makes room for it, before it has seen a single element; and it follows any depth: five bytes, or enough
// open brackets, would end the process.
func wellShaped(data []byte) error {
	in := bytes.NewReader(data)
	dec := msgpack.NewDecoder(in)
	open := []int{1} // values still to come, for each list that is open
	for len(open) > 0 {
		last := len(open) - 1
		if open[last] == 0 {
			open = open[:last]
			continue
		}
		open[last]--
		n, err := elements(dec)
		switch {
		case err != nil:
			return err
		case n > in.Len(): // an element takes a byte at least
			return errTooShort
		case n > 0 && len(open) > maxNesting:
			return errTooDeep
		case n > 0:
			open = append(open, n)
		}
	}
	return nil
}

// elements reads the head of a list or dictionary and gives how many values follow it, or skips another value.
func elements(dec *msgpack.Decoder) (int, error) {
	code, err := dec.PeekCode()
	switch {
	case err != nil:
		return 0, err
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return dec.DecodeArrayLen()
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		n, err := dec.DecodeMapLen()
		return 2 * n, err
	default:
		return 0, dec.Skip()
	}
}
