package throttle

import (
	"sync"
	"time"
)

// How often a log tells of the same thing.
const (
	linesWindow = 10 * time.Second
	linesEach   = 5 // in a window
)

// Lines bounds how often a log tells that somebody was refused for sending too much, which is what a flood is answered with. The
// zero Lines is ready.
type Lines struct {
	mu    sync.Mutex // guards all below
	since time.Time
	told  int
	held  int64
}

// Take tells whether there is to be a line now, and for how many refusals it stands: its own, and those before it that had none.
func (l *Lines) Take(now time.Time) (count int64, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= linesWindow {
		l.since, l.told = now, 0
	}
	if l.told >= linesEach {
		l.held++
		return 0, false
	}
	l.told++
	count, l.held = l.held+1, 0
	return count, true
}
