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

// frame is an encoded message. It is immutable while it is queued. One that was made for a single link is used again when it
// was written; one that links share is not.
type frame struct {
	data   []byte
	event  *message.Event // set where the policy may drop it
	single []byte         // the memory that data is part of, where it may be used again
}

// frame gives the parcel's frame in a codec.
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

// single gives a frame for one link.
func single(c codec, m message.Message) (*frame, error) {
	f := singles.get()
	if cap(f.single) < headroom {
		f.single = make([]byte, 0, 512)
	}
	body, err := c.encode(f.single[:headroom], m)
	if err != nil {
		singles.put(f)
		return nil, err
	}
	f.single = body
	var space [headroom]byte
	head := c.header(space[:0], len(body)-headroom)
	start := headroom - len(head)
	copy(body[start:], head)
	f.data = body[start:]
	f.event, _ = m.(*message.Event)
	return f, nil
}

var singles pool[frame]

// keepSingle is the largest memory that is kept for the next frame.
const keepSingle = 4 << 10

// written takes back what was made for one link.
func (f *frame) written() {
	if f.single == nil {
		return
	}
	if cap(f.single) > keepSingle {
		f.single = nil
	}
	f.data, f.event = nil, nil
	singles.put(f)
}
