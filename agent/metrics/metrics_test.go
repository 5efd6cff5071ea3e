package metrics

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func columnIDs() []string {
	var ids []string
	for _, c := range Columns {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestASampleOfThisMachineMakesSense(t *testing.T) {
	t.Parallel()
	h := NewHost(t.Context())
	busy(20 * time.Millisecond)
	row := h.Sample(t.Context())
	for id := range row {
		if !slices.Contains(columnIDs(), id) {
			t.Errorf("%s is no column", id)
		}
	}
	for _, id := range []string{"load1", "mem_used_bytes", "mem_total_bytes", "mem_percent", "swap_percent", "disk_percent",
		"net_rx_bps", "processes", "uptime_s"} {
		if _, ok := row[id]; !ok {
			t.Errorf("%s is missing", id)
		}
	}
	if row["mem_used_bytes"].(uint64) >= row["mem_total_bytes"].(uint64) || row["processes"].(uint64) < 1 || row["uptime_s"].(uint64) < 1 {
		t.Errorf("got %v", row)
	}
}

func busy(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func TestRatesAreOfTheTimeBetweenTwoReadings(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	before := counters{at: start, busy: 10, total: 100, read: 1000, write: 2000, received: 50, sent: 70, cpu: true, disks: true, links: true}
	after := counters{at: start.Add(2 * time.Second), busy: 13, total: 104, read: 3000, write: 2000, received: 40, sent: 74, cpu: true, disks: true, links: true}
	row := wire.Row{}
	rates(row, before, after)
	want := wire.Row{"cpu_percent": 75.0, "disk_read_bps": 1000.0, "disk_write_bps": 0.0, "net_tx_bps": 2.0}
	if !maps.Equal(row, want) { // received fell: an interface is gone
		t.Errorf("got %v, want %v", row, want)
	}
	row = wire.Row{}
	rates(row, before, before)
	if len(row) != 0 {
		t.Errorf("no time passed: %v", row)
	}
	rates(row, counters{at: start}, after)
	if len(row) != 0 {
		t.Errorf("no first reading: %v", row)
	}
}

func TestAByteOfADiskCountsOnce(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"sda": false, "nvme0n1": false, "mmcblk0": false, "vda": false, "dm-0": true, "md127": true, "loop3": true, "zram0": true} {
		if got := stacked(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// stuck is a source that the kernel keeps waiting.
type stuck struct{ release chan struct{} }

func (s stuck) Sample(context.Context) wire.Row {
	<-s.release
	return wire.Row{"late": true}
}

func TestAMachineThatHangsKeepsNoReaderWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, source := NewSampler(), stuck{make(chan struct{})}
		go s.Run(ctx, func(context.Context) Source { return source })
		for range 3 {
			began := time.Now()
			_, err := s.Sample(ctx)
			if errs.KindOf(err) != wire.Unavailable || time.Since(began) != timeout {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		}
		close(source.release)
		if row, err := s.Sample(ctx); err != nil || row["late"] != true {
			t.Errorf("afterwards: %v, %v", row, err)
		}
		cancel()
	})
}
