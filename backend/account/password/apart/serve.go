package apart

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"bulkhead/backend/account/password"
	"bulkhead/internal/secret"
)

// Main is the whole of a process that was started with Command; it gives the exit code. It ends with its input alone: who
// stops the server with Ctrl-C or a signal to all of its processes waits for the logins that are at it.
func Main(in io.Reader, out io.Writer) int {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	yield()
	if err := Serve(in, out); err != nil {
		return 1
	}
	return 0
}

// Serve answers each frame of a salt and a password with one of the key, until its input ends.
func Serve(in io.Reader, out io.Writer) error {
	frame := make([]byte, password.SaltSize+password.MaxLength)
	for {
		n, err := readFrame(in, frame)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n < password.SaltSize {
			return errors.New("apart: a frame without a salt")
		}
		key, err := password.Here{}.Derive(context.Background(), secret.New(frame[password.SaltSize:n]), frame[:password.SaltSize])
		clear(frame)
		if err != nil {
			return err
		}
		if err := writeFrame(out, key); err != nil {
			return err
		}
	}
}

// A frame is its length, in two bytes, and so many bytes.
const lengthSize = 2

func writeFrame(w io.Writer, body []byte) error {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, lengthSize+len(body)), uint16(len(body)))
	framed = append(framed, body...)
	defer clear(framed)
	_, err := w.Write(framed)
	return err
}

// readFrame reads a frame into a buffer and tells its length. It is io.EOF where there is none.
func readFrame(r io.Reader, into []byte) (int, error) {
	var length [lengthSize]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > len(into) {
		return 0, fmt.Errorf("apart: a frame of %d bytes, more than %d", n, len(into))
	}
	_, err := io.ReadFull(r, into[:n])
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
