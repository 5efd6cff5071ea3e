package transport

import "bulkhead/router/message"

// Parcel is one message on its way to any number of links. It is encoded when a link first needs it, once per codec. It is
// used by one goroutine.
type Parcel struct {
	Message message.Message
	frames  [codecs]*frame
	// Encoded counts how often it was encoded, Shared how often an encoding was used again.
	Encoded, Shared int
}

// frame is an encoded message. It is immutable, so that queues share it.
type frame struct {
	data  []byte
	event *message.Event // set where the policy may drop it
}

func (p *Parcel) frame(c codec) (*frame, error) {
	i := c.index()
	if f := p.frames[i]; f != nil {
		p.Shared++
		return f, nil
	}
	data, err := c.frame(p.Message)
	if err != nil {
		return nil, err
	}
	p.Encoded++
	event, _ := p.Message.(*message.Event)
	p.frames[i] = &frame{data: data, event: event}
	return p.frames[i], nil
}
