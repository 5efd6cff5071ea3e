package mux

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// What a sealed stream carries from the user's end begins with a preamble: the version in one byte, the stream's number in
// eight, the length of the proof in two, the proof, and a tag over all of it. Then, as in the other direction from the
// beginning, come records: the length of the data in 15 bits of two bytes, of which the highest bit says that it is the
// last, then the data, encrypted, and a tag over both. The last record has no data, the others have some.
//
// The number is never used again in a tunnel. It gives the stream a key for each direction, and another one after each
// 2^20 records; what is counted in a direction, preamble and records, is the nonce. The cipher is that of the handshake.

const (
	sealVersion  = 1
	preambleSize = 1 + 8 + 2
	recordHead   = 2
	tagSize      = 16
	lastRecord   = 1 << 15
	sealedPiece  = piece + tagSize
	rekeyEvery   = 1 << 20
	// farewell is how long the last record may take to find room after Close.
	farewell = 5 * time.Second
)

var (
	errCut    = errors.New("mux: the stream was cut off")
	errForged = errors.New("mux: the stream was changed on the way")
)

// sealKeys make the keys of streams.
type sealKeys struct {
	secret []byte
	suite  uint16 // of TLS
}

func keysOf(state tls.ConnectionState, terms string) (sealKeys, error) {
	secret, err := state.ExportKeyingMaterial(sealLabel, []byte(terms), sha256.Size)
	return sealKeys{secret, state.CipherSuite}, err
}

// direction is who writes.
type direction string

const (
	fromUser   direction = "user"
	fromDevice direction = "device"
)

func (k sealKeys) cipher(from direction, stream, epoch uint64) (cipher.AEAD, error) {
	size := 32
	if k.suite == tls.TLS_AES_128_GCM_SHA256 {
		size = 16
	}
	key, err := hkdf.Expand(sha256.New, k.secret, fmt.Sprintf("%s %d %d", from, stream, epoch), size)
	if err != nil {
		return nil, err
	}
	if k.suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// way is one direction of a sealed stream. Whoever uses it holds mu.
type way struct {
	mu     sync.Mutex
	keys   sealKeys
	from   direction
	stream uint64
	count  uint64
	aead   cipher.AEAD
	err    error // why it is over; io.EOF and io.ErrClosedPipe too
}

// next gives what encrypts or decrypts what comes next.
func (w *way) next() (aead cipher.AEAD, nonce [12]byte, err error) {
	if w.count%rekeyEvery == 0 {
		if w.aead, err = w.keys.cipher(w.from, w.stream, w.count/rekeyEvery); err != nil {
			return nil, nonce, err
		}
	}
	binary.BigEndian.PutUint64(nonce[4:], w.count)
	w.count++
	return w.aead, nonce, nil
}

func (w *way) seal(b, data, also []byte) ([]byte, error) {
	aead, nonce, err := w.next()
	if err != nil {
		return nil, err
	}
	return aead.Seal(b, nonce[:], data, also), nil
}

func (w *way) open(b, data, also []byte) ([]byte, error) {
	aead, nonce, err := w.next()
	if err != nil {
		return nil, err
	}
	opened, err := aead.Open(b, nonce[:], data, also)
	if err != nil {
		return nil, errForged
	}
	return opened, nil
}

// sealed is a stream that the gateway cannot read.
type sealed struct {
	Stream
	out, in way
	heard   func() // the first record came; nil: nobody asks

	// guarded by in.mu
	head  [recordHead]byte
	heads int     // bytes of the head that are there
	body  *record // nil: no bytes of it are there
	got   int     // bytes of body
	plain []byte  // of body: not read yet
}

// record is room for what follows a head, and for the next head.
type record [sealedPiece + recordHead]byte

var records = sync.Pool{New: func() any { return new(record) }}

func newSealed(s Stream, keys sealKeys, number uint64, user bool) *sealed {
	own, other := fromDevice, fromUser
	if user {
		own, other = other, own
	}
	return &sealed{Stream: s, out: way{keys: keys, from: own, stream: number}, in: way{keys: keys, from: other, stream: number}}
}

// Write writes records that each fit into one frame.
func (s *sealed) Write(b []byte) (written int, err error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	for len(b) > 0 && err == nil {
		n := min(piece, len(b))
		if err = s.write(b[:n], 0); err == nil {
			written, b = written+n, b[n:]
		}
	}
	return written, err
}

// write writes one record. One that is not written whole is the end of all writing.
func (s *sealed) write(data []byte, flag int) error {
	if s.out.err != nil {
		return s.out.err
	}
	room := records.Get().(*record) //nolint:forcetypeassert // nothing else is put there
	defer records.Put(room)
	head := binary.BigEndian.AppendUint16(room[:0], uint16(len(data)|flag)) //nolint:gosec // a piece is small
	b, err := s.out.seal(head, data, head)
	if err == nil {
		_, err = s.Stream.Write(b)
	}
	s.out.err = err
	if flag == lastRecord && err == nil {
		s.out.err = io.ErrClosedPipe
	}
	return err
}

// CloseWrite ends this direction: inside first, so that a cut cannot pass for an end.
func (s *sealed) CloseWrite() error {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if err := s.write(nil, lastRecord); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return s.Stream.CloseWrite()
}

// Close ends this direction where nothing is being written, and gives both up.
func (s *sealed) Close() error {
	if s.out.mu.TryLock() {
		_ = s.SetWriteDeadline(time.Now().Add(farewell))
		_ = s.write(nil, lastRecord)
		s.out.mu.Unlock()
	}
	return s.Stream.Close()
}

func (s *sealed) Read(b []byte) (int, error) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	for len(s.plain) == 0 {
		if s.in.err != nil || len(b) == 0 {
			return 0, s.in.err
		}
		n, err := s.read(b)
		if n > 0 || err != nil {
			return n, err
		}
	}
	n := copy(b, s.plain)
	if s.plain = s.plain[n:]; len(s.plain) == 0 {
		s.release()
	}
	return n, nil
}

// read takes one record. Its data goes to b where there is room for all of it, else to plain. A deadline that is over loses
// nothing.
func (s *sealed) read(b []byte) (n int, err error) {
	if s.heads, err = s.fill(s.head[:], s.heads, len(s.head)); err != nil {
		return 0, err
	}
	size, last := int(binary.BigEndian.Uint16(s.head[:])&^lastRecord), s.head[0]&(lastRecord>>8) != 0
	if size > piece || last != (size == 0) {
		return 0, s.spoil(errForged)
	}
	if s.body == nil {
		s.body, s.got = records.Get().(*record), 0 //nolint:forcetypeassert // as above
	}
	whole := size + tagSize
	if s.got, err = s.fill(s.body[:whole+recordHead], s.got, whole); err != nil {
		return 0, err
	}
	to := s.body[:0:size]
	if size <= len(b) {
		to = b[:0:size]
	}
	data, err := s.in.open(to, s.body[:whole], s.head[:])
	if err != nil {
		return 0, s.spoil(err)
	}
	if s.heard != nil {
		s.heard()
		s.heard = nil
	}
	s.heads = copy(s.head[:], s.body[whole:s.got])
	if last {
		s.in.err = io.EOF
	}
	if size > len(b) {
		s.plain = data
		return 0, nil
	}
	s.release()
	return size, s.in.err
}

// fill reads into b until enough is there, of which some is, and takes more where it is there at once.
func (s *sealed) fill(b []byte, got, enough int) (int, error) {
	for got < enough {
		n, err := s.Stream.Read(b[got:])
		if got += n; n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = s.spoil(errCut)
			}
			return got, err
		}
	}
	return got, nil
}

// spoil ends the reading for good, and has the other side know.
func (s *sealed) spoil(why error) error {
	s.in.err = why
	s.release()
	_ = s.Reset()
	return why
}

func (s *sealed) release() {
	if s.body != nil {
		records.Put(s.body)
		s.body = nil
	}
}

// preamble is how a sealed stream begins.
type preamble struct {
	number uint64
	proof  []byte
}

func (p preamble) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(append(b, sealVersion), p.number)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(p.proof))), p.proof...) //nolint:gosec // TLS has made it
}

// readPreamble reads one, and its tag.
func readPreamble(r io.Reader) (p preamble, tag []byte, err error) {
	var front [preambleSize]byte
	if _, err := io.ReadFull(r, front[:]); err != nil {
		return p, nil, err
	}
	p.number = binary.BigEndian.Uint64(front[1:])
	size := int(binary.BigEndian.Uint16(front[9:]))
	if front[0] != sealVersion || size > maxProof {
		return p, nil, fmt.Errorf("mux: a preamble of version %d with %d bytes", front[0], size)
	}
	rest := make([]byte, size+tagSize)
	_, err = io.ReadFull(r, rest)
	p.proof = rest[:size]
	return p, rest[size:], err
}

// greet writes the preamble.
func (s *sealed) greet(p preamble) error {
	front := p.append(nil)
	b, err := s.out.seal(front, nil, front)
	if err == nil {
		_, err = s.Stream.Write(b)
	}
	return err
}

// greeted tells whether the preamble is that of who shook hands.
func (s *sealed) greeted(p preamble, tag []byte) error {
	_, err := s.in.open(nil, tag, p.append(nil))
	return err
}
