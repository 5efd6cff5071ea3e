package router

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/router/transport"
)

// stats is what the router counts. Labels are classes of realms, message types and reasons, of which there are few; never
// realms, devices or addresses. It is read when it is scraped, so counting costs an atomic addition.
type stats struct {
	panics  atomic.Uint64
	joining transport.Meter // links that have not joined
	classes map[realms.Kind]*class

	mu       sync.Mutex
	refusals map[string]uint64 // by reason; guarded by mu
}

// class is a kind of realm.
type class struct {
	name        string
	meter       transport.Meter
	sessions    atomic.Int64
	joins       atomic.Uint64
	in, out     [codes]atomic.Uint64 // by message code
	encoded     atomic.Uint64        // events encoded
	shared      atomic.Uint64        // events that found their encoding made
	overflows   atomic.Uint64        // sessions closed because their queue was full
	unencodable atomic.Uint64
	tooLarge    atomic.Uint64
	limited     atomic.Uint64 // messages over the rate
	checks      atomic.Uint64 // authorizations
	checkNanos  atomic.Uint64
}

const codes = int(message.CodeYield) + 1

func newStats() *stats {
	return &stats{
		refusals: map[string]uint64{},
		classes:  map[realms.Kind]*class{realms.Data: {name: "data"}, realms.Devices: {name: "device"}, realms.NoRealm: {name: "open"}},
	}
}

func (s *stats) class(k realms.Kind) *class { return s.classes[k] }

func (c *class) authorized(d time.Duration) {
	c.checks.Add(1)
	c.checkNanos.Add(uint64(d))
}

// reasons are all the reasons of refusal that are counted by name.
var reasons = []string{
	"authentication_failed", "authorization_failed", "exhausted", "gone", "internal", "no_auth_method", "no_such_realm", "no_such_role",
	"not_authorized", "protocol_violation", "subprotocol", "system_shutdown", "timeout", "too_fast_from_network", "too_many_from_network",
	"too_many_pending", "unavailable", "upgrade",
}

// reasonOf is the last component of a URI where that is a reason, else "other".
func reasonOf(uri string) string {
	last := uri[strings.LastIndexByte(uri, '.')+1:]
	if slices.Contains(reasons, last) {
		return last
	}
	return "other"
}

func (s *stats) refused(reason string) {
	reason = reasonOf(reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals[reason]++
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("bulkhead_router_"+name, help, labels, nil)
}

var (
	descSessions    = desc("sessions", "Sessions that are open.", "class")
	descJoins       = desc("joins_total", "Sessions that were let in.", "class")
	descRefusals    = desc("refusals_total", "Connections and joins that were refused.", "reason")
	descPanics      = desc("panics_total", "Panics while handling a session's message.")
	descIn          = desc("messages_in_total", "Messages received.", "class", "type")
	descOut         = desc("messages_out_total", "Messages queued for a peer.", "class", "type")
	descBytesIn     = desc("bytes_in_total", "Bytes of messages received.", "class")
	descBytesOut    = desc("bytes_out_total", "Bytes written to peers, framing included.", "class")
	descWrites      = desc("writes_total", "System calls that wrote to peers; with TLS, one for each 16 KiB.", "class")
	descHigh        = desc("queue_high_water_bytes", "The most bytes that waited in one session's queue.", "class")
	descDropped     = desc("events_dropped_total", "Events dropped because their receiver was slow.", "class")
	descOverflows   = desc("overflows_total", "Sessions closed because their queue was full.", "class")
	descDead        = desc("dead_total", "Sessions closed because their peer gave no sign of life.", "class")
	descEncoded     = desc("events_encoded_total", "Encodings of events.", "class")
	descShared      = desc("events_shared_total", "Events that were queued in an encoding made for another receiver.", "class")
	descUnencodable = desc("unencodable_total", "Messages that could not be encoded for their receiver.", "class")
	descTooLarge    = desc("too_large_total", "Messages that were larger than their receiver takes.", "class")
	descLimited     = desc("rate_limited_total", "Messages refused because their session sent too much.", "class")
	descChecks      = desc("authorizations_total", "Authorization decisions.", "class")
	descCheckTime   = desc("authorization_seconds_total", "Time spent on authorization decisions.", "class")
)

// Describe implements prometheus.Collector.
func (s *stats) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect implements prometheus.Collector.
func (s *stats) Collect(ch chan<- prometheus.Metric) {
	ch <- counter(descPanics, s.panics.Load())
	s.mu.Lock()
	for _, reason := range append([]string{"other"}, reasons...) {
		ch <- counter(descRefusals, s.refusals[reason], reason)
	}
	s.mu.Unlock()
	for _, c := range s.classes {
		c.collect(ch)
		collectMeter(ch, &c.meter, c.name)
	}
	collectMeter(ch, &s.joining, "joining")
}

func (c *class) collect(ch chan<- prometheus.Metric) {
	ch <- gauge(descSessions, c.sessions.Load(), c.name)
	ch <- counter(descJoins, c.joins.Load(), c.name)
	for code := range codes {
		if name := message.Code(code).String(); name != "" {
			ch <- counter(descIn, c.in[code].Load(), c.name, name)
			ch <- counter(descOut, c.out[code].Load(), c.name, name)
		}
	}
	ch <- counter(descEncoded, c.encoded.Load(), c.name)
	ch <- counter(descShared, c.shared.Load(), c.name)
	ch <- counter(descOverflows, c.overflows.Load(), c.name)
	ch <- counter(descUnencodable, c.unencodable.Load(), c.name)
	ch <- counter(descTooLarge, c.tooLarge.Load(), c.name)
	ch <- counter(descLimited, c.limited.Load(), c.name)
	ch <- counter(descChecks, c.checks.Load(), c.name)
	seconds := time.Duration(c.checkNanos.Load()).Seconds()
	ch <- prometheus.MustNewConstMetric(descCheckTime, prometheus.CounterValue, seconds, c.name)
}

func collectMeter(ch chan<- prometheus.Metric, m *transport.Meter, class string) {
	ch <- counter(descBytesIn, m.BytesIn.Load(), class)
	ch <- counter(descBytesOut, m.BytesOut.Load(), class)
	ch <- counter(descWrites, m.Writes.Load(), class)
	ch <- counter(descDropped, m.Dropped.Load(), class)
	ch <- counter(descDead, m.Dead.Load(), class)
	ch <- gauge(descHigh, m.HighWater.Load(), class)
}

func counter(d *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func gauge(d *prometheus.Desc, n int64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
}
