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

var copyBuffers = sync.Pool{New: func() any { return new([frame]byte) }}

func forward(to, from Half) (n int64, err error) {
	buffer := copyBuffers.Get().(*[frame]byte)
	defer copyBuffers.Put(buffer)
	n, err = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buffer[:])
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		Break(to)
		Break(from)
	}
	return n, err
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
