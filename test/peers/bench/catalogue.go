package main

import (
	"context"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/report"
)

// entry is one measure that can be run.
type entry struct {
	name    string
	measure func(ctx context.Context, b *bench) (report.Measure, error)
}

// catalogue is every measure, in the order in which they run.
func catalogue() []entry {
	var all []entry
	for _, e := range []events{
		{from: frame.JSON, to: frame.JSON, againstNexus: 1.0 / 10, againstFloor: 2.5},
		{from: frame.CBOR, to: frame.CBOR, againstNexus: 1.0 / 10},
		{from: frame.JSON, to: frame.MessagePack, againstNexus: 1.0 / 6},
	} {
		all = append(all, both(e.name(), func(tls bool) measurer { e.tls = tls; return e })...)
	}
	all = append(all, both("call", func(tls bool) measurer { return calls{tls: tls} })...)
	all = append(all, both("join", func(tls bool) measurer { return joins{tls: tls} })...)
	all = append(all, entry{"idle", idle{}.measure})
	all = append(all, both("patterns", func(tls bool) measurer { return patterns{tls: tls} })...)
	return append(all, both("quiet", func(tls bool) measurer { return quiet{tls: tls} })...)
}

type measurer interface {
	measure(ctx context.Context, b *bench) (report.Measure, error)
}

// both gives a measure without TLS and with it.
func both(name string, with func(tls bool) measurer) []entry {
	return []entry{{name, with(false).measure}, {name + "/tls", with(true).measure}}
}

// over says in a title whether TLS is used.
func over(tls bool) string {
	if tls {
		return "with TLS"
	}
	return "no TLS"
}
