package message

import "errors"

// MaxWeight is how much memory, by our estimate, the decoded arguments of one message may take. A message of many small
// values takes a hundred times its own size when it is decoded; as it is passed on to others it is not decoded at all.
const MaxWeight = 128 << 20

// ErrWeight is returned for arguments that would take more than MaxWeight.
var ErrWeight = errors.New("message: the arguments are too many values to be decoded")

// What decoded values take, roughly.
const (
	valueWeight = 24 // an interface, and what it points to; a text is part of the frame
	listWeight  = 48
	dictWeight  = 96
	entryWeight = 40 // of a dictionary, besides its value
)

// Weight estimates how much memory Decode takes, without decoding. It looks no further than MaxWeight.
func (p Payload) Weight() int {
	total := 0
	for _, encoded := range []string{p.args, p.kwargs} {
		if encoded == "" || total > MaxWeight {
			continue
		}
		r := reader{f: p.format, s: encoded, depth: 1, weight: total}
		r.weigh(r.value())
		total = r.weight
	}
	return total
}

// weigh adds the value that t begins to the reader's weight.
func (r *reader) weigh(t token) {
	if !r.charge(t.common()) || t.kind != kindList && t.kind != kindDict {
		return
	}
	q := r.in(t)
	for r.more(&q) {
		if q.dict {
			r.key(&q)
			r.weight += entryWeight
		}
		r.weigh(r.value())
	}
}

// charge counts a value, and stops a reader that has read too much.
func (r *reader) charge(t token) bool {
	switch t.kind {
	case kindList:
		r.weight += listWeight
	case kindDict:
		r.weight += dictWeight
	case kindBinary:
		r.weight += valueWeight + len(t.text)
	default:
		r.weight += valueWeight
	}
	if r.weight > MaxWeight && r.err == nil {
		r.err = ErrWeight
	}
	return r.err == nil
}
