package main

import (
	"fmt"
	"time"
)

// catalogue is what is measured, in the order of the page.
func catalogue() (all []kind) {
	for _, direction := range []byte{sink, source} {
		all = append(all, kind{"keystroke/" + way(direction), keystroke(direction)})
	}
	for _, direction := range []byte{sink, source} {
		for _, n := range []int{1, 8, 64} {
			all = append(all, kind{fmt.Sprintf("rate/%s/%d", way(direction), n), rate(direction, n)})
		}
	}
	for _, direction := range []byte{sink, source} {
		all = append(all, kind{"long/" + way(direction), long(direction)})
	}
	return append(all, kind{"stalled", stalled}, kind{"open", opening}, kind{"memory", memory}, kind{"revoke", revoke}, kind{"suite", suite})
}

func way(direction byte) string {
	if direction == sink {
		return "up"
	}
	return "down"
}

var (
	village = line{bits: 10e6, trip: 50 * time.Millisecond, queue: 100 * time.Millisecond}
	ocean   = line{bits: 100e6, trip: 100 * time.Millisecond, queue: 50 * time.Millisecond}
)

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1e3) }
