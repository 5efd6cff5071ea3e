package wampx

import "sync"

// mailbox is a bounded queue between the receive loop, which never waits, and one reader.
type mailbox[T any] struct {
	limit int
	wake  chan struct{} // has a token when the reader should look

	mu     sync.Mutex // guards items
	items  []T
	closed bool
}

func newMailbox[T any](limit int) *mailbox[T] {
	return &mailbox[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// put adds v and reports whether there was room.
func (m *mailbox[T]) put(v T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.items) >= m.limit {
		return false
	}
	m.items = append(m.items, v)
	m.signal()
	return true
}

// putOver adds v and gives up the oldest where there is no room; it reports how many were given up.
func (m *mailbox[T]) putOver(v T) (lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0
	}
	if len(m.items) >= m.limit {
		var zero T
		m.items[0] = zero
		m.items = m.items[1:]
		lost = 1
	}
	m.items = append(m.items, v)
	m.signal()
	return lost
}

// take removes the oldest. more is false when there will never be another.
func (m *mailbox[T]) take() (v T, ok, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) == 0 {
		m.items = nil // give the memory of a burst back
		return v, false, !m.closed
	}
	v = m.items[0]
	var zero T
	m.items[0] = zero
	m.items = m.items[1:]
	if len(m.items) > 0 || m.closed {
		m.signal()
	}
	return v, true, true
}

// close lets the reader finish what is queued, and no more.
func (m *mailbox[T]) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.signal()
}

func (m *mailbox[T]) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items) == 0
}
