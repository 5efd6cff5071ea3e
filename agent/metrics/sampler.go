package metrics

import (
	"context"
	"fmt"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// timeout is how long a sample is waited for. A file system that hangs keeps its reader in the kernel for longer.
const timeout = 5 * time.Second

// Source gives rows. Host is the one there is.
type Source interface {
	Sample(ctx context.Context) wire.Row
}

// Sampler takes samples in a goroutine of its own, so that a reading on which the kernel waits keeps no caller.
type Sampler struct {
	requests chan chan<- wire.Row
}

// NewSampler makes a Sampler; Run serves it.
func NewSampler() *Sampler { return &Sampler{make(chan chan<- wire.Row)} }

// Run takes samples of the source that open makes, until ctx ends.
func (s *Sampler) Run(ctx context.Context, open func(context.Context) Source) {
	source := open(ctx)
	for {
		select {
		case reply := <-s.requests:
			reply <- source.Sample(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Sample gives a sample, or an error where there is none in time.
func (s *Sampler) Sample(ctx context.Context) (wire.Row, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no sample within %s", timeout))
	defer cancel()
	reply := make(chan wire.Row, 1) // a late sample parks nobody
	select {
	case s.requests <- reply:
	case <-ctx.Done():
		return nil, late(ctx)
	}
	select {
	case row := <-reply:
		return row, nil
	case <-ctx.Done():
		return nil, late(ctx)
	}
}

func late(ctx context.Context) error {
	return errs.As(errs.KindOf(ctx.Err()), context.Cause(ctx), "the machine does not answer")
}
