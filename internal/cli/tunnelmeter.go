package cli

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"bulkhead/internal/mux"
)

// tunnelMeter is what goes through a tunnel, for the people who wait for it.
type tunnelMeter struct {
	until                time.Time
	sent, received, open atomic.Int64
}

// show keeps one line at a terminal true, once a second; elsewhere it says nothing.
func (m *tunnelMeter) show(ctx context.Context, inv *invocation) {
	if !isTerminal(inv.Err) {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer fmt.Fprint(inv.Err, "\r\x1b[K")
	var sent, received int64
	for {
		select {
		case now := <-tick.C:
			s, r := m.sent.Load(), m.received.Load()
			fmt.Fprintf(inv.Err, "\r\x1b[K%d open  up %s/s  down %s/s  %s left  Ctrl-C ends it",
				m.open.Load(), size(s-sent), size(r-received), m.until.Sub(now).Round(time.Second))
			sent, received = s, r
		case <-ctx.Done():
			return
		}
	}
}

// counted counts what is read.
func counted(c mux.Half, bytes *atomic.Int64) mux.Half {
	return mux.Metered{Half: c, Passed: func(n int) error {
		bytes.Add(int64(n))
		return nil
	}}
}
