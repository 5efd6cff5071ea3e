package provision

import (
	"context"
	"time"

	"bulkhead/internal/secret"
)

// ReapAfter ends sessions with limits of the test's choice.
func (p *Provisioner) ReapAfter(ctx context.Context, limit time.Duration) error {
	return p.reap(ctx, limit, limit, limit)
}

// ProbeAsSuperuser has the superuser try what tenants try: a probe that is closed even then can find nothing.
func (p *Provisioner) ProbeAsSuperuser(ctx context.Context) (ProbeReport, error) {
	return p.probeAs(ctx, &Login{Role: p.admin.User, Password: secret.FromString(p.admin.Password)})
}
