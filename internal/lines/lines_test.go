package lines

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writes keeps what each call wrote.
type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func write(t *testing.T, w *Writer, text string) {
	t.Helper()
	if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("write %q: %d, %v", text, n, err)
	}
}

func TestALineThatComesAloneIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got writes
		w := New(&got)
		for i := range 3 {
			write(t, w, "line\n")
			if len(got) != i+1 {
				t.Errorf("%d writes after %d lines", len(got), i+1)
			}
			time.Sleep(Hold)
		}
	})
}

func TestLinesThatComeFastAreWrittenTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got writes
		w := New(&got)
		for round := range 2 {
			for i := range 4 {
				write(t, w, fmt.Sprintln(round, i))
			}
			time.Sleep(2 * Hold) // a line that waits is written by then
			synctest.Wait()
		}
		want := writes{"0 0\n", "0 1\n0 2\n0 3\n", "1 0\n", "1 1\n1 2\n1 3\n"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestNothingWaitsAfterAFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got writes
		w := New(&got)
		write(t, w, "first\n")
		write(t, w, "second\n")
		if err := w.Flush(); err != nil || len(got) != 2 {
			t.Errorf("%q, %v", got, err)
		}
		if err := w.Flush(); err != nil || len(got) != 2 {
			t.Errorf("after another: %q, %v", got, err)
		}
		time.Sleep(2 * Hold)
		synctest.Wait()
		if len(got) != 2 {
			t.Errorf("later: %q", got)
		}
	})
}

func TestWhatWaitsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got writes
		w := New(&got)
		line := strings.Repeat("x", 1<<10)
		for range 100 {
			write(t, w, line)
		}
		whole := 0
		for _, one := range got {
			whole += len(one)
		}
		if waits := 100*len(line) - whole; waits >= enough {
			t.Errorf("%d bytes wait", waits)
		}
		if err := w.Flush(); err != nil || strings.Join(got, "") != strings.Repeat(line, 100) {
			t.Errorf("%d writes, %v", len(got), err)
		}
	})
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestALogThatCannotBeWrittenIsReportedAndKeepsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(broken{})
		if _, err := w.Write([]byte("a\n")); !errors.Is(err, errBroken) {
			t.Error(err)
		}
		write(t, w, "b\n")
		if err := w.Flush(); !errors.Is(err, errBroken) {
			t.Error(err)
		}
		var later bytes.Buffer
		w.to = &later
		if err := w.Flush(); err != nil || later.Len() > 0 {
			t.Errorf("%q, %v", &later, err)
		}
	})
}
