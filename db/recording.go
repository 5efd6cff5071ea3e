package db

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/recording"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Recordings keeps recordings of shells, and the keys that they are sealed to.
type Recordings struct {
	db *DB
	*Audit
}

var _ recording.Store = (*Recordings)(nil)

// NewRecordings gives the recordings of a database.
func NewRecordings(d *DB) *Recordings { return &Recordings{d, NewAudit(d)} }

// RecordingKey finds the key of a project.
func (s *Recordings) RecordingKey(ctx context.Context, project wire.Key) (recording.Key, error) {
	k := recording.Key{Project: project}
	var public []byte
	err := s.db.pool.QueryRow(ctx, `SELECT public, sealed, created_at FROM recording_key WHERE project_key = $1`, project).Scan(&public, &k.Sealed, &k.Created)
	k.Public = base64.StdEncoding.EncodeToString(public)
	return k, found("recording key", err)
}

// InsertRecordingKey keeps the key of a project that has none.
func (s *Recordings) InsertRecordingKey(ctx context.Context, k recording.Key, e audit.Entry) error {
	public, err := base64.StdEncoding.DecodeString(k.Public)
	if err != nil {
		return errs.As(wire.Internal, err, "")
	}
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProject(ctx, tx, k.Project); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO recording_key (project_key, public, sealed, created_at) VALUES ($1, $2, $3, $4)`, k.Project, public, k.Sealed, k.Created)
		return err
	})
}

// RecordedTunnel tells what is known of a tunnel.
func (s *Recordings) RecordedTunnel(ctx context.Context, id string) (t recording.Tunnel, err error) {
	err = s.db.pool.QueryRow(ctx, `SELECT id, project_key, device_key, device_name, serial::text, actor_kind, actor_id, actor_name, signer, state = 'open'
		FROM tunnel WHERE id = $1`, id).Scan(&t.ID, &t.Project, &t.Device, &t.DeviceName, &t.Serial, &t.By.Kind, &t.By.ID, &t.By.Name, &t.Signer, &t.Open)
	return t, found("tunnel", err)
}

const selectRecordings = `SELECT r.tunnel_id, r.session, r.project_key, r.device_key, t.device_name, t.actor_kind, t.actor_id, t.actor_name, r.signer, r.hash,
	r.chunks, r.bytes, r.state, r.ended, r.began_at, r.last_at, t.ended FROM recording r JOIN tunnel t ON t.id = r.tunnel_id`

func scanLeft(row pgx.CollectableRow) (l recording.Left, err error) {
	r := &l.Recording
	err = row.Scan(&r.Tunnel, &r.Session, &r.Project, &r.Device, &r.DeviceName, &r.By.Kind, &r.By.ID, &r.By.Name, &r.Signer, &r.Hash,
		&r.Chunks, &r.Bytes, &r.State, &r.Ended, &r.Began, &r.Last, &l.TunnelEnded)
	r.Began, r.Last = r.Began.UTC(), r.Last.UTC()
	return l, err
}

func scanRecording(row pgx.CollectableRow) (recording.Recording, error) {
	l, err := scanLeft(row)
	return l.Recording, err
}

// Recording finds a recording.
func (s *Recordings) Recording(ctx context.Context, tunnel string, session int) (recording.Recording, error) {
	r, err := first(ctx, s.db.pool, scanRecording, selectRecordings+` WHERE r.tunnel_id = $1 AND r.session = $2`, tunnel, session)
	return r, found("recording", err)
}

// Recordings lists recordings, newest first.
func (s *Recordings) Recordings(ctx context.Context, q recording.Query) ([]recording.Recording, error) {
	list, err := list(ctx, s.db.pool, scanRecording, selectRecordings+` WHERE r.project_key = $1 AND ($2::bigint = 0 OR r.device_key = $2)
		ORDER BY r.began_at DESC, r.tunnel_id, r.session LIMIT $3`, q.Project, q.Device, q.Limit)
	return list, Error("db: recordings", err)
}

// BeginRecording keeps a recording with its first chunk.
func (s *Recordings) BeginRecording(ctx context.Context, r recording.Recording, c wire.ParsedChunk, q recording.Quota, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProject(ctx, tx, r.Project); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO recording (tunnel_id, session, project_key, device_key, signer, hash, chunks, bytes, state, ended, began_at, last_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			r.Tunnel, r.Session, r.Project, r.Device, r.Signer, r.Hash, r.Chunks, r.Bytes, string(r.State), r.Ended, r.Began, r.Last)
		if err != nil {
			return err
		}
		return insertChunk(ctx, tx, r, c, q)
	})
}

// AppendRecording keeps the chunk that makes r what it is.
func (s *Recordings) AppendRecording(ctx context.Context, r recording.Recording, c wire.ParsedChunk, q recording.Quota, e *audit.Entry) error {
	return s.db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE recording SET hash = $3, chunks = $4, bytes = $5, state = $6, last_at = $7
			WHERE tunnel_id = $1 AND session = $2 AND state = 'open' AND chunks = $4 - 1`,
			r.Tunnel, r.Session, r.Hash, r.Chunks, r.Bytes, string(r.State), r.Last)
		if err := touched(tag, err, errMoved); err != nil {
			return err
		}
		if err := insertChunk(ctx, tx, r, c, q); err != nil || e == nil {
			return err
		}
		return record(ctx, tx, *e)
	})
}

var errMoved = errs.E(wire.Conflict, "the recording has gone on, or has ended")

// insertChunk keeps a chunk where the quotas have room for it.
func insertChunk(ctx context.Context, tx pgx.Tx, r recording.Recording, c wire.ParsedChunk, q recording.Quota) error {
	_, err := tx.Exec(ctx, `INSERT INTO recording_chunk (tunnel_id, session, sequence, head, body, signature) VALUES ($1, $2, $3, $4, $5, $6)`,
		r.Tunnel, r.Session, c.Head.Sequence, c.Text, c.Body, c.Signature)
	if err != nil {
		return err
	}
	var device, project int64
	err = tx.QueryRow(ctx, `WITH kept AS (
			INSERT INTO recording_usage AS u (project_key, device_key, bytes) VALUES ($1, $2, $3)
			ON CONFLICT (project_key, device_key) DO UPDATE SET bytes = u.bytes + excluded.bytes RETURNING bytes)
		SELECT kept.bytes, kept.bytes + (SELECT coalesce(sum(o.bytes), 0)::bigint FROM recording_usage o WHERE o.project_key = $1 AND o.device_key <> $2) FROM kept`,
		r.Project, r.Device, len(c.Text)+len(c.Body)+len(c.Signature)).Scan(&device, &project)
	switch {
	case err != nil:
		return err
	case device > q.Device:
		return errs.E(wire.Exhausted, "the recordings of this device have reached %d bytes, which is the most: old ones are deleted after a time; see recordings.device_quota", q.Device)
	case project > q.Project, project > q.Shared() && device > q.Small():
		return errs.E(wire.Exhausted, "the recordings of the project have reached %d of %d bytes, of which the last quarter is for devices that have few: old ones are deleted after a time; see recordings.project_quota", project, q.Project)
	default:
		return nil
	}
}

// CutRecording keeps that a recording has no end.
func (s *Recordings) CutRecording(ctx context.Context, r recording.Recording, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE recording SET state = 'cut', ended = $3 WHERE tunnel_id = $1 AND session = $2 AND state = 'open' AND chunks = $4`,
			r.Tunnel, r.Session, r.Ended, r.Chunks)
		return touched(tag, err, errMoved)
	})
}

// RecordingHead gives the head of a chunk.
func (s *Recordings) RecordingHead(ctx context.Context, r recording.Recording, sequence int64) (text []byte, err error) {
	err = s.db.pool.QueryRow(ctx, `SELECT head FROM recording_chunk WHERE tunnel_id = $1 AND session = $2 AND sequence = $3`, r.Tunnel, r.Session, sequence).Scan(&text)
	return text, found("chunk", err)
}

func scanChunk(row pgx.CollectableRow) (c wire.RecordingChunk, err error) {
	var head, body, signature []byte
	err = row.Scan(&head, &body, &signature)
	text := base64.StdEncoding.EncodeToString
	return wire.RecordingChunk{Head: text(head), Body: text(body), Signature: text(signature)}, err
}

// chunksAtOnce is the most chunks that are read at once, however small.
const chunksAtOnce = 200

// RecordingChunks gives chunks from one on.
func (s *Recordings) RecordingChunks(ctx context.Context, r recording.Recording, from int64, size int) ([]wire.RecordingChunk, error) {
	list, err := list(ctx, s.db.pool, scanChunk, `SELECT head, body, signature FROM (
			SELECT sequence, head, body, signature, sum(length(body) + length(head)) OVER (ORDER BY sequence) AS upto, row_number() OVER (ORDER BY sequence) AS n
			FROM (SELECT * FROM recording_chunk WHERE tunnel_id = $1 AND session = $2 AND sequence >= $3 ORDER BY sequence LIMIT $5) next
		) c WHERE n = 1 OR upto <= $4 ORDER BY sequence`, r.Tunnel, r.Session, from, size, chunksAtOnce)
	return list, Error("db: chunks of a recording", err)
}

// LeftRecordings lists those without an end whose tunnels have ended.
func (s *Recordings) LeftRecordings(ctx context.Context, before time.Time) ([]recording.Left, error) {
	list, err := list(ctx, s.db.pool, scanLeft, selectRecordings+` WHERE r.state = 'open' AND t.closed_at < $1 AND r.last_at < $1`, before)
	return list, Error("db: recordings without an end", err)
}

// OldRecordings lists those whose last chunk came before a time.
func (s *Recordings) OldRecordings(ctx context.Context, before time.Time, limit int) ([]recording.Recording, error) {
	list, err := list(ctx, s.db.pool, scanRecording, selectRecordings+` WHERE r.last_at < $1 AND r.state <> 'open' ORDER BY r.last_at LIMIT $2`, before, limit)
	return list, Error("db: old recordings", err)
}

// DeleteRecording deletes a recording with its chunks.
func (s *Recordings) DeleteRecording(ctx context.Context, r recording.Recording, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM recording WHERE tunnel_id = $1 AND session = $2`, r.Tunnel, r.Session)
		if err := touched(tag, err, missing("recording")); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE recording_usage SET bytes = bytes - $3 WHERE project_key = $1 AND device_key = $2`, r.Project, r.Device, r.Bytes)
		return err
	})
}
