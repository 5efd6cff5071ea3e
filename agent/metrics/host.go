// Package metrics samples the machine that it runs on.
//
// It promises that a sample is cheap (a few files of /proc, no processes, no look-ups), that a sampler which the system keeps
// waiting makes nobody else wait, and that what cannot be read is left out and not guessed.
package metrics

import (
	"context"
	"math"
	"os"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"

	"bulkhead/wire"
)

// Column is one column of the rows of a source.
type Column struct {
	ID   string
	Type string // as in a data template
	Text string
}

// Columns are the columns of wire.SourceHost beside tsp. Each may be absent from a row: rates from the first, others where
// the system does not tell.
var Columns = []Column{
	{"cpu_percent", "numeric", "time that the CPUs were busy since the row before, all of them together are 100"},
	{"load1", "numeric", "processes that run or want to, mean of 1 minute"},
	{"load5", "numeric", "the same, mean of 5 minutes"},
	{"load15", "numeric", "the same, mean of 15 minutes"},
	{"mem_used_bytes", "bigint", "memory in use, without caches that can be given back"},
	{"mem_total_bytes", "bigint", "memory that there is"},
	{"mem_percent", "numeric", "memory in use of what there is"},
	{"swap_percent", "numeric", "swap in use of what there is, 0 where there is none"},
	{"disk_percent", "numeric", "the root file system's space in use"},
	{"disk_read_bps", "numeric", "bytes read per second from all disks since the row before"},
	{"disk_write_bps", "numeric", "bytes written per second to all disks since the row before"},
	{"net_rx_bps", "numeric", "bytes received per second on all interfaces but the loopback since the row before"},
	{"net_tx_bps", "numeric", "bytes sent per second on all interfaces but the loopback since the row before"},
	{"processes", "bigint", "processes that exist"},
	{"uptime_s", "bigint", "seconds since the machine started"},
}

// Host samples the machine. Rates are since the sample before, so each reader has a Host of its own. It is used by one
// goroutine at a time; see Sampler.
type Host struct {
	now    func() time.Time
	before counters
}

// counters are the readings that only grow.
type counters struct {
	at                time.Time
	busy, total       float64 // CPU seconds
	read, write       uint64  // bytes of disks
	received, sent    uint64  // bytes of interfaces
	cpu, disks, links bool    // which of them were read
}

// NewHost makes a Host and takes the first readings, from which the first sample's rates count.
func NewHost(ctx context.Context) *Host {
	h := &Host{now: time.Now}
	h.before = h.count(ctx)
	return h
}

// Sample reads the machine now.
func (h *Host) Sample(ctx context.Context) wire.Row {
	row := wire.Row{}
	after := h.count(ctx)
	rates(row, h.before, after)
	h.before = after
	levels(ctx, row)
	return row
}

// levels are the readings that need no earlier one.
func levels(ctx context.Context, row wire.Row) {
	if l, err := load.AvgWithContext(ctx); err == nil {
		row["load1"], row["load5"], row["load15"] = l.Load1, l.Load5, l.Load15
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		row["mem_used_bytes"], row["mem_total_bytes"], row["mem_percent"] = m.Used, m.Total, round(m.UsedPercent)
	}
	if s, err := mem.SwapMemoryWithContext(ctx); err == nil {
		row["swap_percent"] = round(s.UsedPercent)
	}
	if d, err := disk.UsageWithContext(ctx, "/"); err == nil {
		row["disk_percent"] = round(d.UsedPercent)
	}
	if pids, err := process.PidsWithContext(ctx); err == nil {
		row["processes"] = uint64(len(pids))
	}
	if up, err := host.UptimeWithContext(ctx); err == nil {
		row["uptime_s"] = up
	}
}

func (h *Host) count(ctx context.Context) counters {
	c := counters{at: h.now()}
	if t, err := cpu.TimesWithContext(ctx, false); err == nil && len(t) == 1 {
		c.cpu = true
		idle := t[0].Idle + t[0].Iowait
		c.total = t[0].User + t[0].System + t[0].Nice + t[0].Irq + t[0].Softirq + t[0].Steal + idle
		c.busy = c.total - idle
	}
	if names := disks(); len(names) > 0 {
		if io, err := disk.IOCountersWithContext(ctx, names...); err == nil {
			c.disks = true
			for _, d := range io {
				c.read += d.ReadBytes
				c.write += d.WriteBytes
			}
		}
	}
	if io, err := net.IOCountersWithContext(ctx, true); err == nil {
		c.links = true
		for _, l := range io {
			if l.Name != "lo" {
				c.received += l.BytesRecv
				c.sent += l.BytesSent
			}
		}
	}
	return c
}

// rates fills in what two readings tell. A counter that fell, because a disk or an interface is gone, tells nothing.
func rates(row wire.Row, before, after counters) {
	if total := after.total - before.total; before.cpu && after.cpu && total > 0 {
		row["cpu_percent"] = round(min(100, max(0, 100*(after.busy-before.busy)/total)))
	}
	seconds := after.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return
	}
	rate := func(id string, known bool, before, after uint64) {
		if known && after >= before {
			row[id] = math.Round(float64(after-before) / seconds)
		}
	}
	rate("disk_read_bps", before.disks && after.disks, before.read, after.read)
	rate("disk_write_bps", before.disks && after.disks, before.write, after.write)
	rate("net_rx_bps", before.links && after.links, before.received, after.received)
	rate("net_tx_bps", before.links && after.links, before.sent, after.sent)
}

// disks names the disks, without their partitions and what is built upon them: a byte counts once.
func disks() []string {
	entries, err := os.ReadDir("/sys/block")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if !stacked(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

func round(percent float64) float64 { return math.Round(percent*100) / 100 }
