package core

import (
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/router/message"
	"bulkhead/wire"
)

func violation(reason string) error { return &message.ProtocolError{Reason: reason} }

// send sends a session a message, unless it has left.
func (r *Realm) send(to *Session, m message.Message) error {
	if !to.present {
		return ErrNotTaken
	}
	return r.config.Output.Send(to, m)
}

// noDetails is shared by all messages without details; messages are immutable.
var noDetails = message.Dict{}

// refuse answers a request with an error, and with what its sender may read of it.
func (r *Realm) refuse(s *Session, request message.Code, id message.ID, err error) {
	r.send(s, &message.Error{
		Request: request, RequestID: id, Details: noDetails,
		URI: errs.URIOf(err), Payload: payloadOf([]any{errs.UserText(err)}, nil),
	})
}

// payloadOf encodes what the router itself has to say, in the serializer that loses nothing. What cannot be encoded
// becomes no payload: the values are the router's own, or were decoded from a payload.
func payloadOf(args []any, kwargs message.Dict) message.Payload {
	p, err := message.NewPayload(message.CBOR, args, kwargs)
	if err != nil {
		return message.Payload{}
	}
	return p
}

// maxPassthru is how many bytes of text the options of payload passthru mode may have. The router keeps them with a call, whose payload
// it does not keep.
const maxPassthru = 4 << 10

func checkPassthru(p *message.Passthru) error {
	if p.Size() > maxPassthru {
		return errs.E(wire.Exhausted, "the options of payload passthru mode have more than %d bytes", maxPassthru)
	}
	return nil
}

// kept gives options that may be kept: what a decoded message has of texts are parts of its frame.
func kept(p *message.Passthru) *message.Passthru {
	if p == nil {
		return nil
	}
	return &message.Passthru{
		Scheme: strings.Clone(p.Scheme), Serializer: strings.Clone(p.Serializer),
		Cipher: strings.Clone(p.Cipher), KeyID: strings.Clone(p.KeyID),
		EncAlgo: strings.Clone(p.EncAlgo), EncSerializer: strings.Clone(p.EncSerializer), EncKey: strings.Clone(p.EncKey),
	}
}
