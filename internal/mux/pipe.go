package mux

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Pipe copies between two connections, each direction until its end, which it passes on, and returns how much went from a
// to b and back when both have ended. Where one breaks, both are broken off.
func Pipe(a, b Half) (there, back int64, err error) {
	var wg sync.WaitGroup
	var errThere, errBack error
	wg.Go(func() { there, errThere = forward(b, a) })
	back, errBack = forward(a, b)
	wg.Wait()
	return there, back, errors.Join(errThere, errBack)
}

// Half is a connection whose directions end one by one.
type Half interface {
	net.Conn
	CloseWrite() error
}

// piece is what an encrypted stream writes at once, so that each of its records fits into one frame. A direction that
// fills its buffer gets a larger one, for fewer and larger steps.
const (
	piece       = maxData - 32
	largePieces = 4 * piece
)

var (
	copyBuffers  = sync.Pool{New: func() any { return new([piece]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largePieces]byte) }}
)

func forward(to, from Half) (n int64, err error) {
	n, err = copyAll(to, from)
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		Break(to)
		Break(from)
	}
	return n, err
}

func copyAll(to io.Writer, from io.Reader) (int64, error) {
	buffer := copyBuffers.Get().(*[piece]byte) //nolint:forcetypeassert // nothing else is put there
	n, full, err := copyWhile(to, from, buffer[:], true)
	copyBuffers.Put(buffer)
	if !full || err != nil {
		return n, err
	}
	large := largeBuffers.Get().(*[largePieces]byte) //nolint:forcetypeassert // as above
	defer largeBuffers.Put(large)
	more, _, err := copyWhile(to, from, large[:], false)
	return n + more, err
}

// copyWhile copies to the end, or until a read has filled the buffer where that is asked for.
func copyWhile(to io.Writer, from io.Reader, buffer []byte, untilFull bool) (n int64, full bool, err error) {
	for {
		got, errRead := from.Read(buffer)
		if got > 0 {
			written, err := to.Write(buffer[:got])
			n += int64(written)
			if err != nil {
				return n, false, err
			}
		}
		if errRead != nil {
			if errors.Is(errRead, io.EOF) {
				errRead = nil
			}
			return n, false, errRead
		}
		if untilFull && got == len(buffer) {
			return n, true, nil
		}
	}
}

// Break ends a connection so that the other side can tell it from an end.
func Break(c net.Conn) {
	switch c := c.(type) {
	case interface{ Reset() error }:
		_ = c.Reset()
	case *net.TCPConn:
		_ = c.SetLinger(0) // a reset, not an end
		_ = c.Close()
	default:
		_ = c.Close()
	}
}
