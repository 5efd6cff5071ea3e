package transport

import "sync/atomic"

// wave is the links that have something to be written because of what one session said, more than its goroutine should write to
// without a break. Whoever has a turn takes the next: the session's goroutine, and where there are many links others with turns
// that nobody else wants.
type wave struct {
	links   []*Link
	taken   atomic.Int64
	writers atomic.Int64 // the last one gives the wave back
	step    func() (more bool)
}

var waves pool[wave]

// share is how many links are worth a goroutine more: to begin with fewer costs as much as it saves.
const share = 32

// writeInTurns writes to links that an outbox holds, as far as it need not wait for their peers. When it returns each of them is
// written to, or somebody is at it. It gives the outbox an empty list in exchange.
func writeInTurns(ts *turns, links []*Link) (list []*Link) {
	w := waves.get()
	if w.step == nil {
		w.step = w.writeNext
	}
	list, w.links = w.links, links
	w.taken.Store(0)
	w.writers.Store(1)
	defer w.leave()
	mine := ts.next()
	for n := len(links)/share - 1; n > 0; n-- {
		t := ts.spare()
		if t == nil {
			break
		}
		w.writers.Add(1)
		go w.help(ts, t)
	}
	ts.have(mine, w.step)
	return list
}

func (w *wave) help(ts *turns, t *turn) {
	defer w.leave()
	ts.help(t, w.step)
}

// writeNext writes to a link that nobody has taken.
func (w *wave) writeNext() (more bool) {
	n := w.taken.Add(1)
	if n > int64(len(w.links)) {
		return false
	}
	w.links[n-1].flush()
	return n < int64(len(w.links))
}

func (w *wave) leave() {
	if w.writers.Add(-1) > 0 {
		return
	}
	clear(w.links)
	if w.links = w.links[:0]; cap(w.links) > keepLinks {
		w.links = nil
	}
	waves.put(w)
}
