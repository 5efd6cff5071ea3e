package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"bulkhead/router/message"
)

// floodEvents are as many events of floodBytes as no queue and no kernel's buffers of one connection hold.
const (
	floodEvents = 128
	floodBytes  = 64 << 10
)

const neverReads = "joins and never reads"

// neverRead joins, subscribes and reads nothing while another one publishes to it. The router must end it: when it reads at
// last, there is less than was published, and after that the end.
func (d *den) neverRead(ctx context.Context, rng *rand.Rand) error {
	slow, source, err := d.pair(ctx, rng)
	if err != nil {
		return err
	}
	defer slow.close()
	defer source.close()
	_ = slow.tcp.SetReadBuffer(16 << 10)
	topic := fmt.Sprintf("rogue.slow.x%d", slow.session)
	subscribed := slow.id()
	subscribe := []message.Message{&message.Subscribe{Request: subscribed, Topic: topic}}
	if _, err := slow.exchange(subscribe, func(m message.Message) bool { return answers(m, subscribed) }); err != nil {
		return unmet(err)
	}
	if err := source.flood(topic); err != nil {
		return err
	}
	return d.leftOvers(slow)
}

// flood publishes to a topic, and waits until the last publication is acknowledged.
func (s *stranger) flood(topic string) error {
	chunk := payload(s.format, make([]byte, floodBytes))
	var all []message.Message
	for i := range floodEvents {
		all = append(all, &message.Publish{
			Request: s.id(), Topic: topic, Payload: chunk, Options: message.PublishOptions{Acknowledge: i == floodEvents-1},
		})
	}
	_, err := s.exchange(all, func(m message.Message) bool { return answers(m, s.request) })
	return err
}

// leftOvers reads what was on its way to one that did not read.
func (d *den) leftOvers(s *stranger) error {
	_ = s.tcp.SetDeadline(time.Now().Add(patience))
	events, reason := 0, ""
	for {
		m, err := s.next()
		switch m := m.(type) {
		case *message.Event:
			events++
		case *message.Goodbye:
			reason = m.Reason
		case *message.Abort:
			reason = m.Reason
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && s.gone():
			d.ledger.ended(reason)
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) || events == floodEvents:
			return fmt.Errorf("it was kept, and got %d of %d events", events, floodEvents)
		case err != nil && reason != "" && reason != "wamp.close.backpressure":
			return fmt.Errorf("ended with %s", reason)
		case err != nil:
			d.ledger.ended(reason)
			return nil
		}
	}
}

// gone reports whether the router has closed a connection from which nothing comes any more. Its reset is dropped by the kernel
// of a peer whose window was shut when it came; that learns of it when it sends something.
func (s *stranger) gone() bool {
	const answer = 5 * time.Second
	_ = s.tcp.SetDeadline(time.Now().Add(answer))
	if err := s.frame(nil); err != nil {
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	var scratch [4096]byte
	for {
		if _, err := s.tcp.Read(scratch[:]); err != nil { // below TLS: a record may have been cut
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}
