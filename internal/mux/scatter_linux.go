package mux

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// scatter reads a socket into several chunks at once. It waits with one, until that was filled.
type scatter struct {
	socket syscall.RawConn
	want   int // chunks for the next read
	bytes  [pieces][]byte
	n      int
	err    error
}

func newScatter(socket syscall.RawConn) *scatter { return &scatter{socket: socket, want: 1} }

func (s *scatter) give(into []*chunk) ([]*chunk, error) {
	for range s.want {
		into = append(into, newChunk())
	}
	for i, c := range into {
		s.bytes[i] = c.space(piece)
	}
	if err := s.socket.Read(s.read); err != nil {
		s.n, s.err = 0, err
	}
	left := s.n
	for i, c := range into {
		s.bytes[i] = nil
		c.filled(min(left, piece))
		left -= c.size()
	}
	used := (s.n + piece - 1) / piece
	free(into[used:])
	s.want = 1
	if used == len(into) {
		s.want = pieces
	}
	return into[:used], s.err
}

// read is done unless it would wait.
func (s *scatter) read(fd uintptr) bool {
	s.n, s.err = unix.Readv(int(fd), s.bytes[:s.want]) //nolint:gosec // a descriptor is small
	for s.err == unix.EINTR {                          //nolint:errorlint // it is a number
		s.n, s.err = unix.Readv(int(fd), s.bytes[:s.want]) //nolint:gosec // as above
	}
	s.n = max(s.n, 0)
	if s.n == 0 && s.err == nil {
		s.err = io.EOF
	}
	return s.err != unix.EAGAIN //nolint:errorlint // as above
}
