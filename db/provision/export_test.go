package provision

import (
	"context"
	"time"
)

// ReapAfter ends sessions with limits of the test's choice.
func (p *Provisioner) ReapAfter(ctx context.Context, limit time.Duration) error {
	return p.reap(ctx, limit, limit, limit)
}
