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

// Metered is a connection of which each piece that came is told before it goes on: to count it, or to have it wait.
type Metered struct {
	Half
	Passed func(n int) error
}

// Reset breaks off what is below.
func (m Metered) Reset() error {
	Break(m.Half)
	return nil
}

// piece is how much is read at once of what is no stream of ours: it fits into one frame, and so does a record of an
// encrypted stream that holds it.
const piece = maxData - 32

// pieces is how many are taken on at once.
const pieces = 4

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

func copyAll(to, from Half) (n int64, err error) {
	passed := func(int) error { return nil }
	if m, ok := from.(Metered); ok {
		from, passed = m.Half, m.Passed
	}
	if m, ok := to.(Metered); ok {
		to = m.Half
	}
	give, take := giverOf(from), takerOf(to)
	var space [pieces]*chunk
	for {
		some, errRead := give(space[:0])
		size := sizeOf(some)
		if size > 0 {
			err = passed(size)
		}
		if size == 0 || err != nil {
			free(some)
		} else {
			err = take(some)
		}
		if err != nil {
			return n, err
		}
		n += int64(size)
		if errRead != nil {
			if errors.Is(errRead, io.EOF) {
				errRead = nil
			}
			return n, errRead
		}
	}
}

// giverOf gives what waits for data of a connection and gives it in as many chunks as there is room for.
func giverOf(from net.Conn) func([]*chunk) ([]*chunk, error) {
	if c, ok := from.(*conn); ok {
		return c.give
	}
	if c, ok := from.(*net.TCPConn); ok {
		if several := scatterOf(c); several != nil {
			return several.give
		}
	}
	return func(into []*chunk) ([]*chunk, error) {
		c := newChunk()
		n, err := from.Read(c.space(piece))
		c.filled(n)
		return append(into, c), err
	}
}

// takerOf gives what writes chunks to a connection. They are the connection's then.
func takerOf(to net.Conn) func([]*chunk) error {
	switch c := to.(type) {
	case *conn:
		return c.take
	case *net.TCPConn:
		space := make([][]byte, 0, pieces)
		return func(some []*chunk) error {
			defer free(some)
			all := net.Buffers(space)
			for _, one := range some {
				all = append(all, one.data())
			}
			_, err := all.WriteTo(c)
			return err
		}
	}
	return func(some []*chunk) error {
		defer free(some)
		for _, one := range some {
			if _, err := to.Write(one.data()); err != nil {
				return err
			}
		}
		return nil
	}
}

func scatterOf(c *net.TCPConn) *scatter {
	socket, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return newScatter(socket)
}

func sizeOf(some []*chunk) (n int) {
	for _, c := range some {
		n += c.size()
	}
	return n
}

func free(some []*chunk) {
	for _, c := range some {
		chunks.Put(c)
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
