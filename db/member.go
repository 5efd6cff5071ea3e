package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/backend/privilege/granting"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Members lists a project's members in the order of their keys.
func (p *Privileges) Members(ctx context.Context, project, after wire.Key, limit int) ([]privilege.Member, error) {
	list, err := list(ctx, p.db.pool, scanMember, selectMembers+` WHERE project_key = $1 AND principal_key > $2 ORDER BY principal_key LIMIT $3`, project, after, limit)
	return list, Error("db: members", err)
}

// Member finds a member.
func (p *Privileges) Member(ctx context.Context, project, principal wire.Key) (privilege.Member, error) {
	m, err := first(ctx, p.db.pool, scanMember, selectMembers+` WHERE project_key = $1 AND principal_key = $2`, project, principal)
	return m, found("member", err)
}

// AddMember keeps a new member.
func (p *Privileges) AddMember(ctx context.Context, m privilege.Member, expected int64, e audit.Entry) error {
	return p.changing(ctx, m.Project, expected, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO member (project_key, principal_key, limited, added_at) VALUES ($1, $2, $3, $4)`,
			m.Project, m.Principal, m.Limited, m.AddedAt)
		if err != nil {
			return err
		}
		return setGroups(ctx, tx, m, e)
	})
}

// LimitMember keeps to what a member is limited, and ends the grants that go with it.
func (p *Privileges) LimitMember(ctx context.Context, m privilege.Member, expected int64, ended []granting.GrantChange, e audit.Entry) error {
	return p.changing(ctx, m.Project, expected, func(tx pgx.Tx) error {
		if err := changeGrants(ctx, tx, ended); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE member SET limited = $3 WHERE project_key = $1 AND principal_key = $2`, m.Project, m.Principal, m.Limited)
		if err := touched(tag, err, missing("member")); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM member_group WHERE project_key = $1 AND principal_key = $2`, m.Project, m.Principal); err != nil {
			return err
		}
		return setGroups(ctx, tx, m, e)
	})
}

func setGroups(ctx context.Context, tx pgx.Tx, m privilege.Member, e audit.Entry) error {
	_, err := tx.Exec(ctx, `INSERT INTO member_group (project_key, principal_key, group_key) SELECT $1::bigint, $2::bigint, unnest($3::bigint[])`,
		m.Project, m.Principal, m.Groups)
	if err != nil {
		return err
	}
	return record(ctx, tx, e)
}

// RemoveMember deletes a member with all that it was granted in the project.
func (p *Privileges) RemoveMember(ctx context.Context, m privilege.Member, expected int64, e audit.Entry) error {
	return p.changing(ctx, m.Project, expected, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM member WHERE project_key = $1 AND principal_key = $2`, m.Project, m.Principal)
		if err := touched(tag, err, missing("member")); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// SetDefaults keeps what each member may do with every asset of a project.
func (p *Privileges) SetDefaults(ctx context.Context, project wire.Key, flags []wire.Flag, expected int64, e audit.Entry) error {
	return p.changing(ctx, project, expected, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO project_default (project_key, flags) VALUES ($1, $2)
			ON CONFLICT (project_key) DO UPDATE SET flags = excluded.flags`, project, flags)
		if err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// Owners lists who owns a project.
func (p *Privileges) Owners(ctx context.Context, project wire.Key) ([]granting.Owner, error) {
	list, err := list(ctx, p.db.pool, func(row pgx.CollectableRow) (o granting.Owner, err error) {
		err = row.Scan(&o.Principal, &o.Since)
		o.Since = o.Since.UTC()
		return o, err
	}, `SELECT principal_key, since FROM project_owner WHERE project_key = $1 ORDER BY since, principal_key`, project)
	return list, Error("db: owners", err)
}

// RemoveOwner ends somebody's ownership of a project; kind Conflict where nobody else owns it.
func (p *Privileges) RemoveOwner(ctx context.Context, project, principal wire.Key, expected int64, e audit.Entry) error {
	return p.changing(ctx, project, expected, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM project_owner WHERE project_key = $1 AND principal_key = $2`, project, principal)
		if err := touched(tag, err, missing("owner")); err != nil {
			return err
		}
		if err := keepsOwner(ctx, tx, project, "the last owner cannot leave: hand the project over first"); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// keepsOwner refuses to leave a project to nobody, or to those alone who are suspended or not of the provider that it demands.
func keepsOwner(ctx context.Context, tx pgx.Tx, project wire.Key, refusal string) error {
	var owned bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM project_owner x JOIN principal p ON p.key = x.principal_key
		WHERE x.project_key = $1 AND NOT p.suspended AND `+isAdmitted+`)`, project).Scan(&owned)
	if err == nil && !owned {
		return errs.E(wire.Conflict, "%s", refusal)
	}
	return err
}

const selectTransfers = `SELECT t.key, t.project_key, p.name, t.from_key, t.to_key, t.keep, t.offered_at, t.expires_at
	FROM ownership_transfer t JOIN project p ON p.key = t.project_key`

func scanTransfer(row pgx.CollectableRow) (t granting.Transfer, err error) {
	err = row.Scan(&t.Key, &t.Project, &t.ProjectName, &t.From, &t.To, &t.Keep, &t.OfferedAt, &t.ExpiresAt)
	t.OfferedAt, t.ExpiresAt = t.OfferedAt.UTC(), t.ExpiresAt.UTC()
	return t, err
}

// Transfers lists the offers of a project, or to a principal where project is 0, that have not expired.
func (p *Privileges) Transfers(ctx context.Context, project, to wire.Key, now time.Time) ([]granting.Transfer, error) {
	list, err := list(ctx, p.db.pool, scanTransfer, selectTransfers+`
		WHERE ($1::bigint = 0 OR t.project_key = $1) AND ($2::bigint = 0 OR t.to_key = $2) AND t.expires_at > $3 AND NOT p.removing ORDER BY t.offered_at`,
		project, to, now)
	return list, Error("db: transfers", err)
}

// Transfer finds an offer that has not expired.
func (p *Privileges) Transfer(ctx context.Context, key wire.Key, now time.Time) (granting.Transfer, error) {
	t, err := first(ctx, p.db.pool, scanTransfer, selectTransfers+` WHERE t.key = $1 AND t.expires_at > $2 AND NOT p.removing`, key, now)
	return t, found("offer", err)
}

// InsertTransfer keeps an offer in place of an older one of the same.
func (p *Privileges) InsertTransfer(ctx context.Context, t granting.Transfer, expected int64, e audit.Entry) error {
	return p.changing(ctx, t.Project, expected, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM ownership_transfer WHERE project_key = $1 AND from_key = $2 AND to_key = $3`, t.Project, t.From, t.To)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO ownership_transfer (key, project_key, from_key, to_key, keep, offered_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, t.Key, t.Project, t.From, t.To, t.Keep, t.OfferedAt, t.ExpiresAt)
		if err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// EndTransfer deletes an offer, and makes it true where it is accepted: the new owner owns, and the old one does where the
// offer says so.
func (p *Privileges) EndTransfer(ctx context.Context, t granting.Transfer, accepted bool, now time.Time, e audit.Entry) error {
	return p.db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM ownership_transfer WHERE key = $1 AND expires_at > $2`, t.Key, now)
		if err := touched(tag, err, missing("offer")); err != nil {
			return err
		}
		if accepted {
			if err := handOver(ctx, tx, t, now); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	})
}

func handOver(ctx context.Context, tx pgx.Tx, t granting.Transfer, now time.Time) error {
	if err := holdProject(ctx, tx, t.Project); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO project_owner (project_key, principal_key, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, t.Project, t.To, now)
	if err != nil || t.Keep {
		return err
	}
	if _, err = tx.Exec(ctx, `DELETE FROM project_owner WHERE project_key = $1 AND principal_key = $2`, t.Project, t.From); err != nil {
		return err
	}
	return keepsOwner(ctx, tx, t.Project, "the project demands a provider with which you do not log in")
}
