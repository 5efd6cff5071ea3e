package cluster

import (
	"context"
	"time"

	"bulkhead/internal/logkey"
)

// Restarts wait this long at first, twice as long each time one fails, and no longer than the limit.
const (
	restartDelay = 100 * time.Millisecond
	restartLimit = 10 * time.Second
)

// supervise starts the server again whenever it ends, until ctx does.
func (c *Cluster) supervise(ctx context.Context) {
	for {
		s := c.current()
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			c.log.ErrorContext(ctx, "PostgreSQL ended, starting it again", logkey.PID, s.pid(), logkey.Error, s.err, logkey.Reason, s.tail.last())
		}
		if !c.relaunch(ctx) {
			return
		}
	}
}

// relaunch tries until the server runs, and reports false when ctx ended first.
func (c *Cluster) relaunch(ctx context.Context) bool {
	for delay := restartDelay; ; delay = min(2*delay, restartLimit) {
		if !sleep(ctx, delay) {
			return false
		}
		attempt, cancel := context.WithTimeout(ctx, startTimeout)
		err := c.launch(attempt)
		cancel()
		if err == nil {
			c.log.InfoContext(ctx, "PostgreSQL runs again", logkey.PID, c.PID())
			return true
		}
		c.log.ErrorContext(ctx, "PostgreSQL does not start", logkey.Error, err)
	}
}
