// Package lines writes the lines of a log with few system calls.
//
// It promises that a line which comes alone is written at once; that lines which come faster than one in Hold wait for at most
// that long and go out together, whole and in their order; that what waits is bounded; and that after Flush nothing waits.
package lines

import (
	"io"
	"sync"
	"time"
)

// Hold is how long a line may wait for others. A process that is killed loses what has waited.
const Hold = 10 * time.Millisecond

// enough is how many bytes are written without waiting for more.
const enough = 32 << 10

// Writer gathers lines. Use New.
type Writer struct {
	mu      sync.Mutex
	to      io.Writer   // guarded by mu, as is all that follows
	waiting []byte      //
	written time.Time   // when something was last written
	timer   *time.Timer // writes what waits; nil until something has waited
	armed   bool        // it will
}

// New makes a Writer that writes to another. Flush it before the process ends.
func New(to io.Writer) *Writer { return &Writer{to: to} }

// Write takes one line or more, all of them whole. The error may be that of an earlier one.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := time.Since(w.written)
	if len(w.waiting) == 0 && since >= Hold {
		w.written = time.Now()
		return w.to.Write(line)
	}
	w.waiting = append(w.waiting, line...)
	if len(w.waiting) >= enough {
		return len(line), w.flush()
	}
	w.arm(Hold - since)
	return len(line), nil
}

// arm has the timer write what waits. The Writer is locked.
func (w *Writer) arm(after time.Duration) {
	switch {
	case w.armed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(after, w.expire)
	default:
		w.timer.Reset(after)
	}
	w.armed = true
}

func (w *Writer) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	_ = w.flush() // a log that cannot be written has nowhere to say so
}

// Flush writes what waits.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.waiting) == 0 {
		return nil
	}
	w.written = time.Now()
	_, err := w.to.Write(w.waiting)
	w.waiting = w.waiting[:0]
	return err
}
