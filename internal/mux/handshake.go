package mux

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// The ends of a tunnel shake hands by TLS 1.3, both with their keys, before they meet. The user's first letter, the hello,
// goes to the device beside the grant; the device's, the answer, comes back with its word that it takes the grant; the
// user's last, the proof, is at the front of each stream until the device is known to have it. No stream waits for any of
// that: what TLS has agreed on gives each of them keys of its own, see sealed.go.
//
// Both ends also say the terms: what the tunnel is, as each was told. The keys come from them too, so that ends which were
// told different things have nothing to say to each other.

const (
	sealProtocol = "bulkhead-tunnel-3"
	sealLabel    = "EXPORTER-bulkhead-tunnel-streams"
	sealTimeout  = 20 * time.Second
	maxProof     = 4 << 10
)

// handshake is one side of it. A goroutine of its own follows TLS until that is done or Close.
type handshake struct {
	letters *letters
	terms   string // set before TLS goes on
	done    chan struct{}
	keys    sealKeys // valid once done, unless err
	err     error
}

func newHandshake(side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config, terms string) *handshake {
	h := &handshake{letters: newLetters(), terms: terms, done: make(chan struct{})}
	go func() { // Close waits for it
		defer close(h.done)
		defer h.letters.Close() //nolint:errcheck // it gives none
		conn := side(h.letters, config)
		if h.err = conn.HandshakeContext(context.Background()); h.err == nil {
			h.keys, h.err = keysOf(conn.ConnectionState(), h.terms)
		}
	}()
	return h
}

// finish hands the last letter over and waits until all of it is read.
func (h *handshake) finish(letter []byte) error {
	h.letters.give(letter)
	h.letters.take() // returns when TLS wants more than there is, too
	_ = h.letters.Close()
	<-h.done
	if errors.Is(h.err, errOtherKey) {
		return errs.As(wire.Unauthenticated, h.err, "the other end of the tunnel has another key than was agreed: somebody may be in between")
	}
	return errs.As(wire.Unavailable, h.err, "the other end of the tunnel did not finish the handshake")
}

// Close gives up a handshake that is not done. Streams that are sealed go on.
func (h *handshake) Close() {
	_ = h.letters.Close()
	<-h.done
}

// sealConfig trusts one key and no authority: the grant and the list of known devices say which.
func sealConfig(own Identity, peer func() string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own.certificate}, NextProtos: []string{sealProtocol},
		InsecureSkipVerify: true, //nolint:gosec // there is no name to verify: the key itself is, below
		ClientAuth:         tls.RequireAnyClientCert, SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			want := peer()
			if len(state.PeerCertificates) == 0 || want == "" || state.NegotiatedProtocol != sealProtocol ||
				subtle.ConstantTimeCompare([]byte(fingerprintOf(state.PeerCertificates[0])), []byte(want)) != 1 {
				return errOtherKey
			}
			return nil
		},
	}
}

var errOtherKey = errors.New("mux: the other end has another key than was agreed")

// UserEnd is the user's end of the encryption of one tunnel. Make it with NewUserEnd and Close it.
type UserEnd struct {
	*handshake
	own    Identity
	hello  string
	device string        // fingerprint; set before TLS goes on
	proof  []byte        // nil: the device was not met
	last   atomic.Uint64 // number of a stream
	heard  atomic.Bool   // the device has the proof
}

// NewUserEnd draws a key and says hello.
func NewUserEnd() (*UserEnd, error) {
	own, err := NewIdentity()
	if err != nil {
		return nil, err
	}
	return newUserEnd(own), nil
}

func newUserEnd(own Identity) *UserEnd {
	u := &UserEnd{own: own}
	u.handshake = newHandshake(tls.Client, sealConfig(own, func() string { return u.device }), "")
	hello, _ := u.letters.take()
	u.hello = base64.StdEncoding.EncodeToString(hello)
	return u
}

// Key is the fingerprint that the grant must name.
func (u *UserEnd) Key() string { return u.own.Fingerprint() }

// Hello is the first letter, for the device.
func (u *UserEnd) Hello() string { return u.hello }

// Meet takes the answer of the device, whose key must have the fingerprint. Where the device was told other terms, it takes
// no stream. It is called once.
func (u *UserEnd) Meet(answer, device, terms string) error {
	letter, err := readLetter(answer)
	if err != nil {
		return err
	}
	u.device, u.terms = device, terms
	u.letters.give(letter)
	proof, _ := u.letters.take()
	if err := u.finish(nil); err != nil {
		return err
	}
	u.proof = proof
	return nil
}

func readLetter(text string) ([]byte, error) {
	letter, err := base64.StdEncoding.DecodeString(text)
	if err == nil && (len(letter) == 0 || len(text) > wire.MaxTunnelLetter) {
		err = errors.New("mux: no letter")
	}
	return letter, errs.As(wire.Invalid, err, "the other end of the tunnel does not begin the handshake: one of both is older, and has to be updated")
}

// Seal encrypts a stream that was opened, for the device that was met. It does not wait for anything but room in the
// stream, and what is written is read by nobody but the device.
func (u *UserEnd) Seal(s Stream) (Stream, error) {
	if u.proof == nil {
		return nil, errs.As(wire.Internal, errNotMet, "")
	}
	number := u.last.Add(1)
	front := preamble{number: number}
	if !u.heard.Load() {
		front.proof = u.proof
	}
	sealed := newSealed(s, u.keys, number, true)
	sealed.heard = func() { u.heard.Store(true) }
	if err := sealed.greet(front); err != nil {
		_ = s.Reset() // it is of no use
		return nil, errs.As(wire.Unavailable, err, "the connection to the gateway is over")
	}
	return sealed, nil
}

var errNotMet = errors.New("mux: a stream for a device that was not met has no keys")

// DeviceEnd is the device's end of the encryption of one tunnel. Make it with Answer and Close it.
type DeviceEnd struct {
	*handshake
	finished sync.Once
	refused  error // valid once finished

	mu   sync.Mutex // guards used
	used numbers
}

// Answer answers the hello of a user's end whose key must have the fingerprint, and which has been told the same terms.
func Answer(own Identity, user, hello, terms string) (d *DeviceEnd, answer string, err error) {
	letter, err := readLetter(hello)
	if err != nil {
		return nil, "", err
	}
	d = &DeviceEnd{handshake: newHandshake(tls.Server, sealConfig(own, func() string { return user }), terms)}
	d.letters.give(letter)
	written, over := d.letters.take()
	if over {
		return nil, "", d.handshake.finish(nil)
	}
	return d, base64.StdEncoding.EncodeToString(written), nil
}

// Seal takes a stream that the user's end has sealed, once. Whoever copies one learns and causes nothing.
func (d *DeviceEnd) Seal(s Stream) (Stream, error) {
	_ = s.SetReadDeadline(time.Now().Add(sealTimeout))
	front, tag, err := readPreamble(s)
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "the other end of the tunnel did not finish the handshake")
	}
	_ = s.SetReadDeadline(time.Time{})
	if err := d.finish(front.proof); err != nil {
		return nil, err
	}
	sealed := newSealed(s, d.keys, front.number, false)
	if err := sealed.greeted(front, tag); err != nil {
		return nil, errs.As(wire.Unauthenticated, err, "a stream is not from the user's end of the tunnel")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.used.first(front.number) {
		return nil, errs.E(wire.Denied, "a stream was copied: somebody in between sends it again")
	}
	return sealed, nil
}

var errNoProof = errors.New("mux: a stream without the proof that was not there yet")

// finish takes the proof of the user's end, the first time.
func (d *DeviceEnd) finish(proof []byte) error {
	if len(proof) == 0 {
		select {
		case <-d.done:
		default:
			return errs.As(wire.Unauthenticated, errNoProof, "the other end of the tunnel did not finish the handshake")
		}
	}
	d.finished.Do(func() { d.refused = d.handshake.finish(proof) })
	return d.refused
}

// numbers are those of streams that were used, of the last so many.
type numbers struct {
	last uint64
	used [keptNumbers / 64]uint64
}

const keptNumbers = 1024

// first reports whether a number is used for the first time. One that is too old to be known was used.
func (n *numbers) first(number uint64) bool {
	if number == 0 || n.last > number && n.last-number >= keptNumbers {
		return false
	}
	for skipped := 0; n.last < number; skipped++ {
		if skipped == keptNumbers {
			n.last = number - 1
		}
		n.last++
		n.used[n.last%keptNumbers/64] &^= 1 << (n.last % 64)
	}
	bit := uint64(1) << (number % 64)
	word := &n.used[number%keptNumbers/64]
	first := *word&bit == 0
	*word |= bit
	return first
}
