package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Tunnels keeps tunnels and what projects ask for before one is opened.
type Tunnels struct {
	db *DB
	*Audit
}

var _ remote.Store = (*Tunnels)(nil)

// NewTunnels gives the tunnels of a database.
func NewTunnels(d *DB) *Tunnels { return &Tunnels{d, NewAudit(d)} }

const selectTunnels = `SELECT id, project_key, device_key, device_name, serial::text, actor_kind, actor_id, actor_name, login, protocol, host, port,
	end_to_end, reason, ttl_seconds, state, asked_at, approver, opened_at, expires_at, closed_at, ended, sent, received, streams, record, signer FROM tunnel`

func scanTunnel(row pgx.CollectableRow) (t remote.Tunnel, err error) {
	var ttl int64
	var opened, expires, closed *time.Time
	err = row.Scan(&t.ID, &t.Project, &t.Device, &t.DeviceName, &t.Serial, &t.By.Kind, &t.By.ID, &t.By.Name, &t.By.Session, &t.Target.Protocol,
		&t.Target.Host, &t.Target.Port, &t.EndToEnd, &t.Reason, &ttl, &t.State, &t.AskedAt, &t.Approver, &opened, &expires, &closed, &t.Ended,
		&t.Sent, &t.Received, &t.Streams, &t.Record, &t.Signer)
	t.TTL, t.AskedAt = time.Duration(ttl)*time.Second, t.AskedAt.UTC()
	t.OpenedAt, t.ExpiresAt, t.ClosedAt = utc(opened), utc(expires), utc(closed)
	return t, err
}

// InsertTunnel keeps a request.
func (s *Tunnels) InsertTunnel(ctx context.Context, t remote.Tunnel, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProject(ctx, tx, t.Project); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO tunnel (id, project_key, device_key, device_name, serial, actor_kind, actor_id, actor_name, login, protocol,
			host, port, end_to_end, reason, ttl_seconds, state, asked_at, record, approver, ended, sent, received, streams)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, '', '', 0, 0, 0)`,
			t.ID, t.Project, t.Device, t.DeviceName, string(t.Serial), string(t.By.Kind), t.By.ID, t.By.Name, t.By.Session, string(t.Target.Protocol),
			t.Target.Host, int(t.Target.Port), t.EndToEnd, t.Reason, int64(t.TTL/time.Second), string(t.State), t.AskedAt, t.Record)
		return err
	})
}

// UpdateTunnel keeps what may change of a tunnel where its state is one of from.
func (s *Tunnels) UpdateTunnel(ctx context.Context, t remote.Tunnel, from []remote.State, e audit.Entry) error {
	states := make([]string, len(from))
	for i, state := range from {
		states[i] = string(state)
	}
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE tunnel SET state = $2, approver = $3, opened_at = $4, expires_at = $5, closed_at = $6, ended = $7,
			sent = $8, received = $9, streams = $10, record = $11, signer = $12 WHERE id = $1 AND state = ANY($13)`,
			t.ID, string(t.State), t.Approver, null(t.OpenedAt), null(t.ExpiresAt), null(t.ClosedAt), t.Ended, t.Sent, t.Received, t.Streams, t.Record, t.Signer, states)
		return touched(tag, err, errs.E(wire.Conflict, "the tunnel is in another state by now"))
	})
}

// Tunnel finds a tunnel.
func (s *Tunnels) Tunnel(ctx context.Context, id string) (remote.Tunnel, error) {
	t, err := first(ctx, s.db.pool, scanTunnel, selectTunnels+` WHERE id = $1`, id)
	return t, found("tunnel", err)
}

// Tunnels lists the tunnels of a project, newest first.
func (s *Tunnels) Tunnels(ctx context.Context, q remote.Query) ([]remote.Tunnel, error) {
	list, err := list(ctx, s.db.pool, scanTunnel, selectTunnels+` WHERE project_key = $1 AND (NOT $2 OR closed_at IS NULL)
		ORDER BY asked_at DESC, id LIMIT $3`, q.Project, q.Live, q.Limit)
	return list, Error("db: tunnels", err)
}

// UnfinishedTunnels lists those that are granted or open.
func (s *Tunnels) UnfinishedTunnels(ctx context.Context) ([]remote.Tunnel, error) {
	list, err := list(ctx, s.db.pool, scanTunnel, selectTunnels+` WHERE state IN ('granted', 'open')`)
	return list, Error("db: unfinished tunnels", err)
}

// WaitingTunnels counts what somebody has asked for in a project since then and what was neither opened nor withdrawn.
func (s *Tunnels) WaitingTunnels(ctx context.Context, project wire.Key, by audit.Actor, since time.Time) (n int, err error) {
	err = s.db.pool.QueryRow(ctx, `SELECT count(*) FROM tunnel WHERE project_key = $1 AND asked_at > $2 AND state IN ('requested', 'approved')
		AND actor_kind = $3 AND actor_id = $4`, project, since, string(by.Kind), by.ID).Scan(&n)
	return n, Error("db: waiting tunnels", err)
}

// TunnelPolicy tells what a project asks for.
func (s *Tunnels) TunnelPolicy(ctx context.Context, project wire.Key) (p remote.Policy, err error) {
	err = s.db.pool.QueryRow(ctx, `SELECT approval, recording FROM tunnel_policy WHERE project_key = $1`, project).Scan(&p.Approval, &p.Recording)
	if errors.Is(err, pgx.ErrNoRows) {
		return remote.Policy{}, nil
	}
	return p, Error("db: tunnel policy", err)
}

// SetTunnelPolicy keeps what a project asks for.
func (s *Tunnels) SetTunnelPolicy(ctx context.Context, project wire.Key, p remote.Policy, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProject(ctx, tx, project); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO tunnel_policy (project_key, approval, recording) VALUES ($1, $2, $3)
			ON CONFLICT (project_key) DO UPDATE SET approval = excluded.approval, recording = excluded.recording`, project, p.Approval, p.Recording)
		return err
	})
}
