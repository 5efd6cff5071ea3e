package db

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account/oidc"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Providers keeps who vouches for users.
type Providers struct{ db *DB }

var _ oidc.Store = (*Providers)(nil)

// NewProviders gives the providers of a database.
func NewProviders(d *DB) *Providers { return &Providers{d} }

const selectProviders = `SELECT key, COALESCE(project_key, 0), name, title, issuer, client_id, sealed, algorithms, scopes, claims, acr, amr, domains,
	just_in_time, max_users, logout, suspended, private_network, ca, revision, created_at FROM provider`

func scanSealedProvider(row pgx.CollectableRow) (s oidc.Sealed, err error) {
	err = row.Scan(&s.Key, &s.Project, &s.Name, &s.Title, &s.Issuer, &s.ClientID, &s.Secret, &s.Algorithms, &s.Scopes, &s.Claims, &s.ACR, &s.AMR,
		&s.Domains, &s.JustInTime, &s.MaxUsers, &s.Logout, &s.Suspended, &s.PrivateNetwork, &s.CA, &s.Revision, &s.CreatedAt)
	s.HasSecret, s.CreatedAt = s.Secret != nil, s.CreatedAt.UTC()
	return s, err
}

func scanProvider(row pgx.CollectableRow) (oidc.Provider, error) {
	s, err := scanSealedProvider(row)
	return s.Provider, err
}

// Provider finds a provider.
func (p *Providers) Provider(ctx context.Context, key wire.Key) (oidc.Sealed, error) {
	s, err := first(ctx, p.db.pool, scanSealedProvider, selectProviders+` WHERE key = $1`, key)
	return s, found("provider", err)
}

// ProviderNamed finds a provider of a project, or of the platform where project is 0.
func (p *Providers) ProviderNamed(ctx context.Context, project wire.Key, name string) (oidc.Sealed, error) {
	s, err := first(ctx, p.db.pool, scanSealedProvider, selectProviders+whereProviderOf+` AND name = $2`, project, name)
	return s, found("provider", err)
}

const whereProviderOf = ` WHERE project_key IS NOT DISTINCT FROM NULLIF($1::bigint, 0)`

// Providers lists the providers of a project, or of the platform where project is 0, in the order of their names.
func (p *Providers) Providers(ctx context.Context, project wire.Key, after string, limit int) ([]oidc.Provider, error) {
	list, err := list(ctx, p.db.pool, scanProvider, selectProviders+whereProviderOf+` AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`,
		project, after, limit)
	return list, Error("db: providers", err)
}

// ProviderOfDomain finds the provider to which a domain routes.
func (p *Providers) ProviderOfDomain(ctx context.Context, domain string) (oidc.Provider, error) {
	s, err := first(ctx, p.db.pool, scanProvider, selectProviders+` WHERE domains @> ARRAY[$1::text]`, domain)
	return s, found("provider", err)
}

// InsertProvider keeps a new provider.
func (p *Providers) InsertProvider(ctx context.Context, s oidc.Sealed, e audit.Entry) error {
	return p.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := admitProvider(ctx, tx, s.Provider); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO provider (key, project_key, name, title, issuer, client_id, sealed, algorithms, scopes, claims, acr, amr, domains,
			just_in_time, max_users, logout, suspended, private_network, ca, created_at)
			VALUES ($1, NULLIF($2::bigint, 0), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
			append([]any{s.Key, s.Project, s.Name}, append(providerColumns(s), s.CreatedAt)...)...)
		return err
	})
}

// providerColumns are the values of what can change, in the order of both statements.
func providerColumns(s oidc.Sealed) []any {
	return []any{
		s.Title, s.Issuer, s.ClientID, s.Secret, s.Algorithms, s.Scopes, s.Claims, object(s.ACR), object(s.AMR), texts(s.Domains),
		s.JustInTime, s.MaxUsers, s.Logout, s.Suspended, s.PrivateNetwork, s.CA,
	}
}

// object and texts keep an empty map and list apart from SQL's null.
func object(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// admitProvider checks a provider against all others. The lock makes those who change providers wait for each other.
func admitProvider(ctx context.Context, tx pgx.Tx, p oidc.Provider) error {
	if p.Project != 0 { // first, as those do who delete a project
		if err := holdProject(ctx, tx, p.Project); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `LOCK TABLE provider IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return err
	}
	var domain, issuer bool
	var count int
	err := tx.QueryRow(ctx, `SELECT COALESCE(bool_or(domains && $3::text[]), false), COALESCE(bool_or(issuer = $4 AND (project_key IS NULL) <> ($2::bigint = 0)), false),
		count(*) FILTER (WHERE project_key IS NOT DISTINCT FROM NULLIF($2::bigint, 0)) FROM provider WHERE key <> $1`,
		p.Key, p.Project, texts(p.Domains), p.Issuer).Scan(&domain, &issuer, &count)
	switch {
	case err != nil:
		return err
	case domain:
		return errs.E(wire.Conflict, "another provider has one of these domains already")
	case issuer && p.Project != 0:
		return errs.E(wire.Conflict, "the server has a provider with this issuer already: its users log in with that")
	case issuer:
		return errs.E(wire.Conflict, "a project has a provider with this issuer already: it has to be deleted first")
	case count >= oidc.MaxPerProject:
		return errs.E(wire.Exhausted, "there are %d providers already", count)
	}
	return nil
}

// UpdateProvider changes a provider that is as it was read.
func (p *Providers) UpdateProvider(ctx context.Context, s oidc.Sealed, e audit.Entry) (ended []string, err error) {
	err = p.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := admitProvider(ctx, tx, s.Provider); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE provider SET title = $3, issuer = $4, client_id = $5, sealed = $6, algorithms = $7, scopes = $8, claims = $9,
			acr = $10, amr = $11, domains = $12, just_in_time = $13, max_users = $14, logout = $15, suspended = $16, private_network = $17, ca = $18, revision = revision + 1
			WHERE key = $1 AND revision = $2`, append([]any{s.Key, s.Revision}, providerColumns(s)...)...)
		if err := touched(tag, err, oidc.ErrRevision); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `UPDATE app_user SET issuer = $2 WHERE provider_key = $1 AND issuer <> $2`, s.Key, s.Issuer); err != nil || !s.Suspended {
			return err
		}
		ended, err = endLoginsBy(ctx, tx, s.Key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func endLoginsBy(ctx context.Context, tx pgx.Tx, provider wire.Key) ([]string, error) {
	return list(ctx, tx, pgx.RowTo[string], `DELETE FROM login WHERE provider_key = $1 RETURNING id`, provider)
}

// DeleteProvider forgets a provider.
func (p *Providers) DeleteProvider(ctx context.Context, key wire.Key, e audit.Entry) (ended []string, err error) {
	err = p.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM provider WHERE key = $1`, key)
		if err = touched(tag, err, missing("provider")); err != nil {
			return err
		}
		ended, err = endLoginsBy(ctx, tx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}
