package databackend

import (
	"sync"
	"time"
)

// Durable says how rows were made safe. The zero Durable says that they were not.
type Durable string

// The ways in which a row is safe.
const (
	Committed Durable = "committed" // the database has it
	Spilled   Durable = "spilled"   // the server's disk has it, until the database does
)

// item is an entry on its way, with who waits for it.
type item struct {
	entry
	at   time.Time
	size int
	done func(Durable, error)
	// barrier marks an item without an entry: done is called once all before it is in the database.
	barrier bool
}

// queue holds items between the sessions that publish and the one goroutine that stores, bounded in rows and bytes.
type queue struct {
	maxRows, maxBytes int
	batch             int           // rows
	linger            time.Duration // how long the first item of a batch waits for others
	wake              chan struct{} // has a token when the taker should look again
	high              chan struct{} // has a token when the queue became three quarters full

	mu          sync.Mutex // guards what follows
	items       []item
	rows, bytes int
	closed      bool
}

func newQueue(l Limits) *queue {
	return &queue{
		maxRows: l.QueueRows, maxBytes: l.QueueBytes, batch: l.BatchRows, linger: l.BatchDelay,
		wake: make(chan struct{}, 1), high: make(chan struct{}, 1),
	}
}

type putResult int

const (
	putDone putResult = iota
	putFull
	putClosed
)

// put adds an item without waiting. What is larger than the whole queue finds room in an empty one.
func (q *queue) put(it item) putResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	rows := len(it.records)
	switch {
	case q.closed:
		return putClosed
	case len(q.items) > 0 && (q.rows+rows > q.maxRows || q.bytes+it.size > q.maxBytes):
		return putFull
	}
	before := q.due()
	q.items = append(q.items, it)
	q.rows, q.bytes = q.rows+rows, q.bytes+it.size
	if len(q.items) == 1 || !before && q.due() {
		signal(q.wake)
	}
	if q.rows*4 > q.maxRows*3 || q.bytes*4 > q.maxBytes*3 {
		signal(q.high)
	}
	return putDone
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // has a token already
	}
}

// due reports whether a batch should leave at once: it is full, or the queue is half full, or nothing more comes.
func (q *queue) due() bool {
	return q.rows >= q.batch || q.rows*2 > q.maxRows || q.bytes*2 > q.maxBytes || q.closed ||
		len(q.items) > 0 && q.items[len(q.items)-1].barrier
}

// take waits for the next batch. It gives none once the queue is closed and empty.
func (q *queue) take() []item {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		batch, wait := q.tryTake(time.Now())
		if batch != nil || wait < 0 {
			return batch
		}
		timer.Reset(wait)
		select {
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// tryTake gives a batch, or how long to wait for one; negative where none will come.
func (q *queue) tryTake(now time.Time) ([]item, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		if q.closed {
			return nil, -1
		}
		return nil, time.Hour
	}
	if wait := q.linger - now.Sub(q.items[0].at); wait > 0 && !q.due() {
		return nil, wait
	}
	n, rows := 0, 0
	for n < len(q.items) && rows < q.batch {
		rows += len(q.items[n].records)
		q.bytes -= q.items[n].size
		n++
	}
	batch := q.items[:n:n]
	q.items, q.rows = q.items[n:], q.rows-rows
	select {
	case <-q.high: // no longer so
	default:
	}
	return batch, 0
}

// close lets nothing more in; what is in is still taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.wake)
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
