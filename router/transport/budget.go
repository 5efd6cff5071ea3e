package transport

import "sync/atomic"

// Budget bounds what the links of one realm, or of one principal in it, hold together, so that many sessions cannot do what one
// may not. What a link holds below one unit is free: most links never touch the budget. A nil Budget has no bound.
type Budget struct {
	limit int64
	used  atomic.Int64
	whole *Budget // that this is a part of; nil: none
}

// unit is in what amounts a budget is used.
const unit = 64 << 10

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int) *Budget { return &Budget{limit: int64(bytes)} }

// Part makes a budget of so many bytes, which are used of the whole as well.
func (b *Budget) Part(bytes int) *Budget { return &Budget{limit: int64(bytes), whole: b} }

// Used is how many bytes are held.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// full reports whether nothing more should be held.
func (b *Budget) full() bool { return b != nil && (b.used.Load() >= b.limit || b.whole.full()) }

func (b *Budget) use(bytes int64) {
	for ; b != nil; b = b.whole {
		b.used.Add(bytes)
	}
}

// holding is one link's share of a budget. Its owner locks.
type holding struct {
	budget *Budget
	units  int
}

// set notes that the link holds so many bytes.
func (h *holding) set(bytes int) {
	if units := bytes / unit; units != h.units {
		h.budget.use(int64(units-h.units) * unit)
		h.units = units
	}
}

// over reports whether the link is to hold no more: it holds much, and so do all together.
func (h *holding) over() bool { return h.units > 0 && h.budget.full() }
