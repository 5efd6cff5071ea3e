package mux_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// held is a stream at a gateway that lies: what an end writes is kept, and what it reads is chosen.
type held struct {
	mux.Stream
	kept, fed bytes.Buffer
}

func (h *held) Read(b []byte) (int, error)      { return h.fed.Read(b) }
func (h *held) Write(b []byte) (int, error)     { return h.kept.Write(b) }
func (h *held) CloseWrite() error               { return nil }
func (h *held) Reset() error                    { return nil }
func (h *held) SetReadDeadline(time.Time) error { return nil }

// conversation is one direction of a sealed stream: what was said, how it travels, and who reads it.
type conversation struct {
	said    []byte
	ended   bool
	records [][]byte
	way     *held
	reader  io.Reader
}

// say writes some data in pieces, often to an end.
func say(t *testing.T, r *rand.Rand, to mux.Stream) (said []byte, ended bool) {
	t.Helper()
	for range 1 + r.IntN(4) {
		some := bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(40))
		if _, err := to.Write(some); err != nil {
			t.Fatal(err)
		}
		said = append(said, some...)
	}
	if ended = r.IntN(4) > 0; ended {
		if err := to.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	return said, ended
}

// recordsOf takes apart what follows the preamble.
func recordsOf(b []byte) (all [][]byte) {
	for len(b) > 0 {
		n := 2 + int(binary.BigEndian.Uint16(b)&0x7fff) + 16
		all, b = append(all, b[:n]), b[n:]
	}
	return all
}

// talk has both ends of a tunnel say something on one more stream.
func talk(t *testing.T, r *rand.Rand, user *mux.UserEnd, device *mux.DeviceEnd) (both [2]*conversation, preamble []byte) {
	t.Helper()
	near, far := &held{}, &held{}
	up, err := user.Seal(near)
	if err != nil {
		t.Fatal(err)
	}
	preamble = bytes.Clone(near.kept.Bytes())
	near.kept.Reset()
	far.fed.Write(preamble)
	down, err := device.Seal(far)
	if err != nil {
		t.Fatal(err)
	}
	there, back := &conversation{way: far, reader: down}, &conversation{way: near, reader: up}
	there.said, there.ended = say(t, r, up)
	back.said, back.ended = say(t, r, down)
	there.records, back.records = recordsOf(near.kept.Bytes()), recordsOf(far.kept.Bytes())
	return [2]*conversation{there, back}, preamble
}

// meddle does what a gateway could, once or more.
func meddle(r *rand.Rand, c *conversation, all []*conversation) [][]byte {
	records := slices.Clone(c.records)
	for range 1 + r.IntN(2) {
		at := r.IntN(len(records) + 1)
		other := all[r.IntN(len(all))].records // of another stream or tunnel, of the other direction, or again
		foreign := other[r.IntN(len(other))]
		one := min(at, len(records)-1)
		if len(records[one]) < 2 {
			continue // no more than a byte was left of it
		}
		switch r.IntN(7) {
		case 0:
			records = records[:at] // cut between two
		case 1:
			records = slices.Insert(records, at, foreign)
		case 2:
			records[one] = foreign
		case 3:
			records = slices.Delete(records, one, one+1)
		case 4:
			with := r.IntN(len(records))
			records[one], records[with] = records[with], records[one]
		case 5:
			changed := bytes.Clone(records[one])
			changed[r.IntN(len(changed))] ^= 1 << r.IntN(8)
			records[one] = changed
		case 6:
			records = append(records[:one], records[one][:1+r.IntN(len(records[one])-1)]) // cut within one
		}
		if len(records) == 0 {
			break
		}
	}
	return records
}

// Whatever a gateway makes of the streams of two tunnels, an end reads what the other wrote to it on that stream, in its
// order and from its beginning; and it sees an end only where that was written, after all that came before.
func TestAGatewayThatMixesReordersRepeatsAndCutsStreamsGetsNothingThrough(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(23, uint64(time.Now().UnixNano()))) //nolint:gosec // not for secrets
	type tunnel struct {
		user   *mux.UserEnd
		device *mux.DeviceEnd
	}
	var tunnels [2]tunnel
	for i := range tunnels {
		tunnels[i].user, tunnels[i].device = shaken(t)
	}
	whole, broken := 0, 0
	for range 150 {
		var all []*conversation
		var preambles [][]byte
		for _, of := range []tunnel{tunnels[0], tunnels[0], tunnels[1]} {
			both, preamble := talk(t, r, of.user, of.device)
			all, preambles = append(all, both[:]...), append(preambles, preamble)
		}
		for i, of := range []tunnel{tunnels[1], tunnels[0], tunnels[0]} {
			again := &held{}
			again.fed.Write(preambles[i])
			if _, err := of.device.Seal(again); err == nil {
				t.Fatalf("the beginning of stream %d is taken again, or by another tunnel", i)
			}
		}
		for _, c := range all {
			records := c.records
			if r.IntN(8) > 0 {
				records = meddle(r, c, all)
			}
			c.way.fed.Write(slices.Concat(records...))
			got, err := io.ReadAll(c.reader)
			if !bytes.HasPrefix(c.said, got) || err == nil && (!c.ended || len(got) < len(c.said)) {
				t.Fatalf("%d bytes were written, ended: %t, and %d are read, %v", len(c.said), c.ended, len(got), err)
			}
			if err == nil {
				whole++
			} else {
				broken++
			}
		}
	}
	if whole == 0 || broken == 0 {
		t.Errorf("%d streams came through whole, %d did not", whole, broken)
	}
}

// The server that brings two ends together could grant another target than was asked for, or have recorded, to a key of
// its own, what the user was told is not.
func TestEndsThatWereToldDifferentThingsHaveNothingToSayToEachOther(t *testing.T) {
	t.Parallel()
	asked := wire.Target{Protocol: wire.ProtocolTCP, Host: "127.0.0.1", Port: 8080}
	other := asked
	other.Port = 22
	for name, granted := range map[string]string{
		"another port": wire.TunnelTerms(other, false), "another protocol": wire.TunnelTerms(wire.PTY, false), "recorded": wire.TunnelTerms(asked, true), "nothing": "",
	} {
		user, own := userEnd(t), identity(t)
		device, answer, err := mux.Answer(own, user.Key(), user.Hello(), granted)
		if err != nil {
			t.Fatal(err)
		}
		defer device.Close()
		if err := user.Meet(answer, own.Fingerprint(), wire.TunnelTerms(asked, false)); err != nil {
			t.Fatal(err)
		}
		if _, err := played(t, device, copied(t, user)); errs.KindOf(err) != wire.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStreamForADeviceThatWasNotMetIsNotSealed(t *testing.T) {
	t.Parallel()
	own, stranger := identity(t), identity(t)
	user := userEnd(t)
	if _, err := user.Seal(&held{}); err == nil {
		t.Error("a stream is sealed with keys that do not exist yet")
	}
	device, answer, err := mux.Answer(own, user.Key(), user.Hello(), terms)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if err := user.Meet(answer, stranger.Fingerprint(), terms); err == nil {
		t.Fatal("another device is met")
	}
	way := &held{}
	if _, err := user.Seal(way); err == nil || way.kept.Len() > 0 || errors.Is(err, io.EOF) {
		t.Errorf("a stream is sealed for a device that is another: %v", err)
	}
}
