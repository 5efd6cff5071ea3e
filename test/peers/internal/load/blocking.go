package load

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// blockingConn reads and writes by blocking system calls, so that the kernel wakes the very thread that waits. Through the
// runtime's poller, a generator that is busy elsewhere would add its own delay to what it measures.
type blockingConn struct {
	file *os.File
	fd   int
}

// makeBlocking takes over a connection.
func makeBlocking(conn *net.TCPConn) (net.Conn, error) {
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		return nil, err
	}
	b := &blockingConn{file: file, fd: int(file.Fd())}
	limit := syscall.NsecToTimeval(int64(joinTimeout))
	err = errors.Join(syscall.SetNonblock(b.fd, false),
		syscall.SetsockoptTimeval(b.fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit))
	if err != nil {
		file.Close()
		return nil, err
	}
	return b, nil
}

func (b *blockingConn) Read(p []byte) (int, error) {
	n, err := retry(syscall.Read, b.fd, p)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (b *blockingConn) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := retry(syscall.Write, b.fd, p[written:])
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// retry repeats a system call that a signal interrupted; the runtime sends itself signals to preempt goroutines.
func retry(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != syscall.EINTR { //nolint:errorlint // a bare errno
			return max(n, 0), err
		}
	}
}

func (b *blockingConn) Close() error { return b.file.Close() }

func (b *blockingConn) LocalAddr() net.Addr  { return nil }
func (b *blockingConn) RemoteAddr() net.Addr { return nil }

// Reads are bounded by the socket's own timeout; writes are short.
func (b *blockingConn) SetDeadline(time.Time) error      { return nil }
func (b *blockingConn) SetReadDeadline(time.Time) error  { return nil }
func (b *blockingConn) SetWriteDeadline(time.Time) error { return nil }
