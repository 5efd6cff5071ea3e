package mux

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// tcp gives both ends of a connection, of which the first can be corked.
func tcp(t *testing.T) (*corkable, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := dialTCP(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	return dialled.(*corkable), accepted.(*net.TCPConn)
}

func TestWhatIsWrittenToACorkedConnectionComesWholeAndInOrder(t *testing.T) {
	t.Parallel()
	from, to := tcp(t)
	sizes := []int{1, 16 << 10, corked, 3, corked - 1, corked + 1, 2 * corked, 5, 16 << 10}
	var want []byte
	for _, size := range sizes {
		want = append(want, patterned(size)...)
	}
	go func() {
		defer from.Close()
		for i, b := 0, want; i < len(sizes); i++ {
			if i%4 == 0 {
				from.cork()
			}
			if n, err := from.Write(b[:sizes[i]]); n != sizes[i] || err != nil {
				t.Errorf("%d of %d bytes were taken: %v", n, sizes[i], err)
			}
			b = b[sizes[i]:]
		}
		if err := from.uncork(); err != nil || from.kept != nil {
			t.Errorf("%v, or it keeps its memory", err)
		}
	}()
	if got, err := io.ReadAll(to); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d came, or others: %v", len(got), len(want), err)
	}
}

func TestACorkedConnectionKeepsWhatIsWrittenUntilItIsUncorked(t *testing.T) {
	t.Parallel()
	from, to := tcp(t)
	from.cork()
	for _, text := range []string{"one ", "two"} {
		if _, err := from.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(from.kept[:from.size], []byte("one two")) {
		t.Fatalf("it keeps %q", from.kept[:from.size])
	}
	if err := from.uncork(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 7)
	if _, err := io.ReadFull(to, got); err != nil || string(got) != "one two" {
		t.Errorf("%q came, %v", got, err)
	}
}

// A record that was written in part would make nonsense of the next one.
func TestNothingFollowsWhatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	from, _ := tcp(t)
	from.cork()
	if _, err := from.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	_ = from.SetWriteDeadline(time.Unix(1, 0))
	if err := from.uncork(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	_ = from.SetWriteDeadline(time.Time{})
	if _, err := from.Write([]byte("next")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the next is written: %v", err)
	}
}

// around is a connection that somebody has wrapped.
type around struct{ net.Conn }

func (a around) NetConn() net.Conn { return a.Conn }

func TestASenderFindsWhatCanBeCorkedBelowAnythingThatShowsIt(t *testing.T) {
	t.Parallel()
	conn, _ := tcp(t)
	if corkableBelow(around{around{conn}}) != conn {
		t.Error("it is not found")
	}
	left, right := net.Pipe()
	defer left.Close()
	defer right.Close()
	for _, c := range []net.Conn{newCorkable(left), around{left}, conn.TCPConn} {
		if corkableBelow(c) != nil {
			t.Errorf("something is found below a %T", c)
		}
	}
}
