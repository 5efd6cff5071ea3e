package message

import (
	"slices"
	"strings"
)

// isNull passes over a null.
func (h *head) isNull() bool {
	if h.err != nil {
		return true
	}
	switch {
	case h.f == JSON && h.jsonPeek() == 'n':
		h.literal("null")
		return true
	case h.i >= len(h.s):
		return false
	case h.f == MsgPack && h.s[h.i] == 0xc0, h.f == CBOR && (h.s[h.i] == 0xf6 || h.s[h.i] == 0xf7):
		h.i++
		return true
	case h.f == MsgPack && strings.HasPrefix(h.s[h.i:], msgpackUndefined):
		h.i += len(msgpackUndefined)
		return true
	}
	return false
}

func (h *head) flag(name string) bool {
	t := h.value()
	if t.kind != kindBool && t.kind != kindNull {
		h.reject(name, "is not a boolean")
	}
	return t.num != 0
}

func (h *head) textOption(name string) string {
	if h.isNull() {
		return ""
	}
	return h.textValue(name)
}

// oneOf reads a text that must be one of a few.
func (h *head) oneOf(name string, allowed ...string) string {
	text := h.textOption(name)
	if text == "" {
		return ""
	}
	for _, v := range allowed {
		if v == text {
			return v
		}
	}
	h.reject(name, "has an unknown value")
	return ""
}

// number reads an integer from 0 to most.
func (h *head) number(name string, most ID) uint64 {
	if h.isNull() {
		return 0
	}
	n, ok := h.integer()
	if !ok || n > uint64(most) {
		h.reject(name, "is not a positive integer within its range")
		return 0
	}
	return n
}

func (h *head) ids(name string) []ID {
	if h.isNull() {
		return nil
	}
	q := h.openList(name)
	ids := make([]ID, 0, q.room())
	for h.more(&q) {
		ids = append(ids, h.idValue(name))
	}
	return ids
}

func (h *head) texts(name string) []string {
	if h.isNull() {
		return nil
	}
	q := h.openList(name)
	texts := make([]string, 0, q.room())
	for h.more(&q) {
		texts = append(texts, h.textValue(name))
	}
	return texts
}

func (h *head) openList(name string) seq {
	t := h.value()
	if t.kind != kindList {
		h.reject(name, "is not a list")
	}
	return h.in(t)
}

var passthruNames = [...]string{
	optPPTScheme, optPPTSerializer, optPPTCipher, optPPTKeyID, optEncAlgo, optEncSerializer, optEncKey,
}

func isPassthru(name string) bool { return slices.Contains(passthruNames[:], name) }

// opaque reports whether the payload may be a binary that only its receiver understands.
func (p *Passthru) opaque() bool { return p != nil && p.EncAlgo != "" }

// field is the part of p with that name, nil where it has none.
func (p *Passthru) field(name string) *string {
	switch name {
	case optPPTScheme:
		return &p.Scheme
	case optPPTSerializer:
		return &p.Serializer
	case optPPTCipher:
		return &p.Cipher
	case optPPTKeyID:
		return &p.KeyID
	case optEncAlgo:
		return &p.EncAlgo
	case optEncSerializer:
		return &p.EncSerializer
	case optEncKey:
		return &p.EncKey
	}
	return nil
}

// given passes over a value, and reports whether it is one.
func (h *head) given() bool {
	if h.isNull() {
		return false
	}
	h.skip()
	return true
}

// passthru reads an option of payload passthru mode, and passes over any other.
func (h *head) passthru(name string, p **Passthru) {
	if !isPassthru(name) {
		h.skip()
		return
	}
	text := h.textOption(name)
	if text == "" {
		return
	}
	if *p == nil {
		*p = &Passthru{}
	}
	*(*p).field(name) = text
}

func (h *head) publishOptions(o *PublishOptions) {
	q, ok := h.openDict(whatOptions)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case optAcknowledge:
			o.Acknowledge = h.flag(name)
		case optExcludeMe:
			o.KeepMe = !h.isNull() && !h.flag(name)
		case optDiscloseMe:
			o.DiscloseMe = h.flag(name)
		case optRetain:
			o.Retain = h.flag(name)
		case optExclude:
			o.Exclude = h.ids(name)
		case optExcludeAuthID:
			o.ExcludeAuthID = h.texts(name)
		case optExcludeAuthRole:
			o.ExcludeAuthRole = h.texts(name)
		case optEligible:
			o.Eligible = h.ids(name)
		case optEligibleAuthID:
			o.EligibleAuthID = h.texts(name)
		case optEligibleAuthRole:
			o.EligibleAuthRole = h.texts(name)
		default:
			if strings.HasPrefix(name, optEligibleOther) {
				o.EligibleOther = h.given() || o.EligibleOther
			} else {
				h.passthru(name, &o.Passthru)
			}
		}
	}
}

func (h *head) match(name string) string { return h.oneOf(name, "exact", "prefix", "wildcard") }

func (h *head) subscribeOptions(o *SubscribeOptions) {
	q, ok := h.openDict(whatOptions)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case optMatch:
			o.Match = h.match(name)
		case optGetRetained:
			o.GetRetained = h.flag(name)
		default:
			h.skip()
		}
	}
}

func (h *head) eventDetails(d *EventDetails) {
	q, ok := h.openDict(whatDetails)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case optTopic:
			d.Topic = h.textOption(name)
		case optPublisher:
			d.Publisher.Session = h.idOption(name)
		case optPublisherAuthID:
			d.Publisher.AuthID = h.textOption(name)
		case optPublisherAuthRole:
			d.Publisher.AuthRole = h.textOption(name)
		case optRetained:
			d.Retained = h.flag(name)
		case optDropped:
			d.Dropped = h.number(name, MaxID)
		default:
			h.passthru(name, &d.Passthru)
		}
	}
}

func (h *head) idOption(name string) ID {
	if h.isNull() {
		return 0
	}
	return h.idValue(name)
}
