package audit

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"bulkhead/wire"
)

// Limits of counting entries, so that a flood from very many addresses does not cost an entry for each.
const (
	countsEach = 8   // addresses with an entry of their own, where there are no more
	countsTold = 200 // addresses that an entry of many names
)

// counting is what one counting entry tells of: one source, or many that differ in the address alone.
type counting map[source]*tally

// alike is what the sources of one counting entry have in common.
type alike struct {
	action  Action
	project wire.Key
	asset   string
}

// counts makes of a window what its counting entries tell of, in a fixed order.
func counts(closed map[source]*tally) (all []counting) {
	groups := map[alike][]source{}
	for from, t := range closed {
		if t.counted > 0 {
			group := alike{from.action, from.project, t.asset}
			groups[group] = append(groups[group], from)
		}
	}
	for _, group := range slices.SortedFunc(maps.Keys(groups), compareAlike) {
		froms := groups[group]
		slices.SortFunc(froms, compareSources)
		each := 1
		if len(froms) > countsEach {
			each = len(froms)
		}
		for some := range slices.Chunk(froms, each) {
			c := counting{}
			for _, from := range some {
				c[from] = closed[from]
			}
			all = append(all, c)
		}
	}
	return all
}

func compareAlike(a, b alike) int {
	return cmp.Or(cmp.Compare(a.action, b.action), cmp.Compare(a.project, b.project), cmp.Compare(a.asset, b.asset))
}

func compareSources(a, b source) int {
	return cmp.Or(cmp.Compare(a.action, b.action), cmp.Compare(a.project, b.project), cmp.Compare(a.address, b.address))
}

func (c counting) count() (n int64) {
	for _, t := range c {
		n += t.counted
	}
	return n
}

// entry is the counting entry of a window that ends at a time.
func (c counting) entry(until time.Time) Entry {
	froms := slices.SortedFunc(maps.Keys(c), func(a, b source) int {
		return cmp.Or(cmp.Compare(c[b].counted, c[a].counted), compareSources(a, b))
	})
	first := froms[0]
	told, by := Counted{Action: first.action, Count: c.count(), Since: c[first].since.UTC(), Until: until.UTC()}, Server
	if len(froms) == 1 {
		told.Address, by.Address = first.address, first.address
		return New(by, RefusalCount, first.project, Asset{Kind: c[first].asset}).Changed(nil, told)
	}
	told.Addresses = map[string]int64{}
	for i, from := range froms {
		if since := c[from].since.UTC(); since.Before(told.Since) {
			told.Since = since
		}
		if i < countsTold && from.address != "" {
			told.Addresses[from.address] = c[from].counted
		}
	}
	return New(by, RefusalCount, first.project, Asset{Kind: c[first].asset}).Changed(nil, told)
}
