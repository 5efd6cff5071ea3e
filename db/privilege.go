package db

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/privilege"
	"bulkhead/backend/privilege/granting"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Privileges keeps owners, members, defaults, grants and offers of ownership, and tells of their changes. Its methods stand
// in one file per object.
type Privileges struct{ db *DB }

var _ granting.Store = (*Privileges)(nil)

// NewPrivileges gives the privileges of a database.
func NewPrivileges(d *DB) *Privileges { return &Privileges{d} }

// Everything reads, at one moment, all that decides.
func (p *Privileges) Everything(ctx context.Context) (all granting.Everything, err error) {
	err = p.reading(ctx, func(tx pgx.Tx) error {
		r := reader{ctx: ctx, tx: tx, projects: map[wire.Key]*privilege.Project{}}
		if all.Principals, err = principals(ctx, tx); err != nil {
			return err
		}
		err := r.read("")
		for _, one := range r.projects {
			all.Projects = append(all.Projects, *one)
		}
		return err
	})
	return all, Error("db: privileges", err)
}

// Principals reads all principals, and the number that grows when one of them changes.
func (p *Privileges) Principals(ctx context.Context) (list []privilege.Principal, err error) {
	err = p.reading(ctx, func(tx pgx.Tx) error {
		list, err = principals(ctx, tx)
		return err
	})
	return list, Error("db: privileges", err)
}

// Project reads all of one project; kind NotFound where there is none.
func (p *Privileges) Project(ctx context.Context, key wire.Key) (privilege.Project, error) {
	return p.project(ctx, key, ` WHERE project_key = $1`, key)
}

// Holder reads what one principal has in a project.
func (p *Privileges) Holder(ctx context.Context, key, principal wire.Key) (privilege.Project, error) {
	return p.project(ctx, key, ` WHERE project_key = $1 AND principal_key = $2`, key, principal)
}

func (p *Privileges) project(ctx context.Context, key wire.Key, where string, args ...any) (one privilege.Project, err error) {
	err = p.reading(ctx, func(tx pgx.Tx) error {
		r := reader{ctx: ctx, tx: tx, projects: map[wire.Key]*privilege.Project{}}
		if err := r.read(where, args...); err != nil {
			return err
		}
		found, ok := r.projects[key]
		if !ok {
			return missing("project")
		}
		one = *found
		return nil
	})
	return one, Error("db: privileges", err)
}

// Revisions tells how often what decides about each project has changed; that of 0 counts changes of principals and of what
// the platform owns.
func (p *Privileges) Revisions(ctx context.Context) (map[wire.Key]int64, error) {
	list, err := list(ctx, p.db.pool, pgx.RowToStructByPos[revision], `SELECT project_key, revision FROM privilege_revision`)
	revisions := make(map[wire.Key]int64, len(list))
	for _, r := range list {
		revisions[r.Project] = r.Revision
	}
	return revisions, Error("db: privileges", err)
}

// Revision tells that of one project.
func (p *Privileges) Revision(ctx context.Context, key wire.Key) (at int64, err error) {
	err = p.db.pool.QueryRow(ctx, `SELECT COALESCE((SELECT revision FROM privilege_revision WHERE project_key = $1), 0)`, key).Scan(&at)
	return at, Error("db: privileges", err)
}

type revision struct {
	Project  wire.Key
	Revision int64
}

// Listen calls changed for each change that is committed from now on, and listening when it has begun to, until ctx ends or
// the connection is lost.
func (p *Privileges) Listen(ctx context.Context, listening func(), changed func(granting.Change)) error {
	conn, err := pgx.ConnectConfig(ctx, p.db.pool.Config().ConnConfig.Copy())
	if err != nil {
		return Error("db: listen", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN bulkhead_privilege"); err != nil {
		return Error("db: listen", err)
	}
	listening()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return Error("db: listen", err)
		}
		changed(readChange(n.Payload))
	}
}

// readChange reads "PROJECT REVISION PRINCIPAL"; of anything else the zero Change is made, upon which all is looked at.
func readChange(payload string) (c granting.Change) {
	parts := strings.Split(payload, " ")
	if len(parts) != 3 {
		return c
	}
	project, errProject := strconv.ParseUint(parts[0], 10, 64)
	at, errRevision := strconv.ParseInt(parts[1], 10, 64)
	principal, errPrincipal := strconv.ParseUint(parts[2], 10, 64)
	if errProject != nil || errRevision != nil || errPrincipal != nil {
		return c
	}
	return granting.Change{Project: wire.Key(project), Revision: at, Principal: wire.Key(principal)}
}

func (p *Privileges) reading(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, p.db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
}

// changing runs do where nothing of the project has changed since expected, and keeps others from changing it meanwhile.
func (p *Privileges) changing(ctx context.Context, project wire.Key, expected int64, do func(pgx.Tx) error) error {
	return p.db.InTx(ctx, func(tx pgx.Tx) error {
		var at int64
		err := tx.QueryRow(ctx, `SELECT revision FROM privilege_revision WHERE project_key = $1 FOR UPDATE`, project).Scan(&at)
		if err != nil {
			return found("project", err)
		}
		if at != expected {
			return granting.ErrStale
		}
		if project.Valid() {
			if err := holdProject(ctx, tx, project); err != nil {
				return err
			}
		}
		return do(tx)
	})
}

func principals(ctx context.Context, tx pgx.Tx) ([]privilege.Principal, error) {
	return list(ctx, tx, pgx.RowToStructByPos[privilege.Principal], `SELECT key, name, owner, suspended FROM principal`)
}

// reader reads projects: all where is "", or what matches it.
type reader struct {
	ctx      context.Context
	tx       pgx.Tx
	projects map[wire.Key]*privilege.Project
}

func (r *reader) read(where string, args ...any) error {
	steps := []func(string, ...any) error{r.revisions, r.owners, r.members, r.apps, r.grants, r.devices}
	for _, step := range steps {
		if err := step(where, args...); err != nil {
			return err
		}
	}
	return nil
}

// at is the project of a row. Rows of a project that is not there are not read: see revisions.
func (r *reader) at(key wire.Key) *privilege.Project {
	if p, ok := r.projects[key]; ok {
		return p
	}
	return &privilege.Project{}
}

// ofProject is where without what it says of a principal.
func ofProject(where string, args []any) (string, []any) {
	if where == "" {
		return "", nil
	}
	return ` WHERE project_key = $1`, args[:1]
}

func (r *reader) revisions(where string, args ...any) error {
	where, args = ofProject(where, args)
	found, err := list(r.ctx, r.tx, func(row pgx.CollectableRow) (p privilege.Project, err error) {
		return p, row.Scan(&p.Key, &p.Revision, &p.Defaults)
	}, `SELECT * FROM (SELECT k.key AS project_key, COALESCE(r.revision, 0), COALESCE(d.flags, '{}')
		FROM (SELECT key FROM project UNION ALL SELECT 0) k
		LEFT JOIN privilege_revision r ON r.project_key = k.key LEFT JOIN project_default d ON d.project_key = k.key) x`+where, args...)
	for _, p := range found {
		r.projects[p.Key] = &p
	}
	return err
}

// pair is a project and a key of something.
type pair struct{ Project, Key wire.Key }

func (r *reader) owners(where string, args ...any) error {
	found, err := list(r.ctx, r.tx, pgx.RowToStructByPos[pair], admitted(`SELECT project_key, principal_key FROM project_owner`, where), args...)
	for _, o := range found {
		p := r.at(o.Project)
		p.Owners = append(p.Owners, o.Key)
	}
	return err
}

const selectMembers = `SELECT project_key, principal_key, limited, added_at,
	ARRAY(SELECT g.group_key FROM member_group g WHERE g.project_key = m.project_key AND g.principal_key = m.principal_key ORDER BY 1) FROM member m`

func scanMember(row pgx.CollectableRow) (m privilege.Member, err error) {
	err = row.Scan(&m.Project, &m.Principal, &m.Limited, &m.AddedAt, &m.Groups)
	m.AddedAt = m.AddedAt.UTC()
	return m, err
}

func (r *reader) members(where string, args ...any) error {
	found, err := list(r.ctx, r.tx, scanMember, admitted(selectMembers, where), args...)
	for _, m := range found {
		p := r.at(m.Project)
		p.Members = append(p.Members, m)
	}
	return err
}

func (r *reader) apps(where string, args ...any) error {
	found, err := list(r.ctx, r.tx, func(row pgx.CollectableRow) (o struct {
		project wire.Key
		owner   privilege.AppOwner
	}, err error,
	) {
		return o, row.Scan(&o.project, &o.owner.App, &o.owner.Principal)
	}, admitted(`SELECT COALESCE(a.owner_key, 0) AS project_key, o.app_key, o.principal_key FROM app_owner o JOIN app a ON a.key = o.app_key`, where), args...)
	for _, o := range found {
		p := r.at(o.project)
		p.Apps = append(p.Apps, o.owner)
	}
	return err
}

func (r *reader) grants(where string, args ...any) error {
	found, err := list(r.ctx, r.tx, scanGrant, admitted(selectGrants, where), args...)
	for _, g := range found {
		p := r.at(g.Asset.Project)
		p.Grants = append(p.Grants, g)
	}
	return err
}

func (r *reader) devices(where string, args ...any) error {
	where, args = ofProject(where, args)
	found, err := list(r.ctx, r.tx, func(row pgx.CollectableRow) (d struct {
		project wire.Key
		in      privilege.GroupDevice
	}, err error,
	) {
		return d, row.Scan(&d.project, &d.in.Group, &d.in.Device)
	}, `SELECT project_key, group_key, device_key FROM device_group_device`+where, args...)
	for _, d := range found {
		p := r.at(d.project)
		p.Devices = append(p.Devices, d.in)
	}
	return err
}

// PrincipalNamed finds somebody whom a project may know: by key, by login name, by display name or by e-mail address. Users
// and service accounts of other projects do not exist.
func (p *Privileges) PrincipalNamed(ctx context.Context, project wire.Key, text string) (granting.Person, error) {
	key, _ := wire.ParseKey(text)
	found, err := list(ctx, p.db.pool, scanPerson, selectPersons+`
		WHERE COALESCE(u.project_key, s.project_key, $1) = $1
			AND (p.key = $2 OR p.name = $3 OR u.subject = $3 OR u.email <> '' AND lower(u.email) = lower($3))
		ORDER BY p.key = $2 DESC, u.issuer = 'local' AND u.subject = $3 DESC LIMIT 2`, project, key, text)
	switch {
	case err != nil:
		return granting.Person{}, Error("db: principal", err)
	case len(found) == 0:
		return granting.Person{}, missing("user or service account")
	case len(found) == 1 || found[0].Key == key || found[0].Login == text:
		return found[0], nil
	default:
		return granting.Person{}, errs.E(wire.Conflict, "several users or service accounts are called %q: give the key", text)
	}
}

// Persons tells of principals by their keys.
func (p *Privileges) Persons(ctx context.Context, keys []wire.Key) (map[wire.Key]granting.Person, error) {
	found, err := list(ctx, p.db.pool, scanPerson, selectPersons+` WHERE p.key = ANY($1)`, keys)
	persons := make(map[wire.Key]granting.Person, len(found))
	for _, one := range found {
		persons[one.Key] = one
	}
	return persons, Error("db: principals", err)
}

const selectPersons = `SELECT p.key, p.kind, p.name, CASE WHEN u.issuer = 'local' THEN u.subject ELSE '' END, p.suspended
	FROM principal p LEFT JOIN app_user u ON u.key = p.key LEFT JOIN service_account s ON s.key = p.key`

func scanPerson(row pgx.CollectableRow) (p granting.Person, err error) {
	return p, row.Scan(&p.Key, &p.Kind, &p.Name, &p.Login, &p.Suspended)
}

// times gives SQL's null for a zero time.
func times(from, until time.Time) (*time.Time, *time.Time) { return null(from), null(until) }
