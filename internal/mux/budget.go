package mux

import (
	"errors"
	"sync"

	"github.com/libp2p/go-yamux/v5"
)

// budget is what all streams of a session may keep unread beyond their first windows. Windows that would exceed it do not
// grow.
type budget struct {
	mu   sync.Mutex // guards left
	left int
}

var errBudget = errors.New("mux: no room for a larger window")

func (b *budget) manager() (yamux.MemoryManager, error) { return &share{budget: b}, nil }

// share is what one stream has of the budget. Streams call it under a lock of their own, and end while another grows.
type share struct {
	budget *budget

	mu    sync.Mutex // guards what follows
	taken int
	first bool
	ended bool
}

// ReserveMemory is asked for the first window, which a stream has anyway, and for each growth.
func (s *share) ReserveMemory(size int, _ uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.first {
		s.first = true
		return nil
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.ended || size > s.budget.left {
		return errBudget
	}
	s.budget.left -= size
	s.taken += size
	return nil
}

// ReleaseMemory gives some back.
func (s *share) ReleaseMemory(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give(min(size, s.taken))
}

// Done gives all back.
func (s *share) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.give(s.taken)
}

func (s *share) give(size int) {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.left += size
	s.taken -= size
}
