// Package recording keeps what devices record of shells: chunks that they have sealed to their project and signed.
//
// It promises that a chunk is kept only from the device that the tunnel leads to, signed with the key that this device named
// when the tunnel was opened, and only in its place: a gap, a fork or a wrong signature ends the recording and is put on
// record; that nothing here reads what was shown without the project's key, which is sealed with keys outside the database,
// and gives out the key of one recording alone, to one who may play it, once that is on record; that a device or project
// which has too much is refused and told so; and that what is deleted for its age is on record.
package recording

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// State is how far a recording has come.
type State string

// The states.
const (
	Open     State = "open"
	Complete State = "complete" // the device has signed its end
	Cut      State = "cut"      // it has no end
)

// Recording is that of one shell.
type Recording struct {
	Tunnel     string
	Session    int // of the tunnel's shells, from 1
	Project    wire.Key
	Device     wire.Key
	DeviceName string
	By         audit.Actor // who had the shell
	Signer     []byte      // public key of the device, PKIX
	Hash       []byte      // of the last chunk
	Chunks     int64
	Bytes      int64
	State      State
	Ended      string // why it is cut
	Began      time.Time
	Last       time.Time // when the newest chunk was kept
}

// ID names a recording to people.
func (r Recording) ID() string { return r.Tunnel + "." + strconv.Itoa(r.Session) }

// parseID reads what ID gave.
func parseID(id string) (tunnel string, session int, ok bool) {
	tunnel, number, _ := strings.Cut(id, ".")
	session, err := strconv.Atoi(number)
	return tunnel, session, err == nil && strconv.Itoa(session) == number && tunnel != "" && len(tunnel) <= 64
}

// Tunnel is what is known of the tunnel through which a shell is had.
type Tunnel struct {
	ID         string
	Project    wire.Key
	Device     wire.Key
	DeviceName string
	Serial     wire.Serial
	By         audit.Actor
	Signer     string // fingerprint of the device's key; empty where it does not record
	Open       bool
}

// Key is a project's recording key.
type Key struct {
	Project wire.Key
	Public  string // base64
	Sealed  []byte // the private half
	Created time.Time
}

// Quota is the most bytes that are kept.
type Quota struct{ Project, Device int64 }

// Shared is what the devices of a project fill as they come. The rest is for those that have Small or less, so that a few
// which record much do not keep the others from a recording that is demanded.
func (q Quota) Shared() int64 { return q.Project / 4 * 3 }

// Small is a sixteenth of what the project may have.
func (q Quota) Small() int64 { return q.Project / 16 }

// Query selects recordings, newest first.
type Query struct {
	Project wire.Key
	Device  wire.Key // zero: all
	Limit   int
}

// Left is a recording that has no end, and why its tunnel ended.
type Left struct {
	Recording
	TunnelEnded string
}

// Store keeps recordings. What changes one writes the audit entry in the same transaction.
type Store interface {
	RecordingKey(ctx context.Context, project wire.Key) (Key, error)        // kind NotFound where there is none
	InsertRecordingKey(ctx context.Context, k Key, e audit.Entry) error     // kind Conflict where there is one
	RecordedTunnel(ctx context.Context, id string) (Tunnel, error)          // kind NotFound
	Recording(ctx context.Context, tunnel string, n int) (Recording, error) // kind NotFound
	Recordings(ctx context.Context, q Query) ([]Recording, error)
	// BeginRecording keeps a first chunk; kind Conflict where there is one, Exhausted beyond the quota.
	BeginRecording(ctx context.Context, r Recording, c wire.ParsedChunk, q Quota, e audit.Entry) error
	// AppendRecording keeps the last chunk of r where that is the next; kind Conflict where it is not. An entry is written
	// where there is one.
	AppendRecording(ctx context.Context, r Recording, c wire.ParsedChunk, q Quota, e *audit.Entry) error
	// CutRecording keeps that r is cut, where it is open; kind Conflict where it is not.
	CutRecording(ctx context.Context, r Recording, e audit.Entry) error
	RecordingHead(ctx context.Context, r Recording, sequence int64) ([]byte, error)
	// RecordingChunks gives chunks from one on, up to a size but at least one.
	RecordingChunks(ctx context.Context, r Recording, from int64, size int) ([]wire.RecordingChunk, error)
	// LeftRecordings lists those that are open though their tunnels ended before a time.
	LeftRecordings(ctx context.Context, before time.Time) ([]Left, error)
	OldRecordings(ctx context.Context, before time.Time, limit int) ([]Recording, error)
	DeleteRecording(ctx context.Context, r Recording, e audit.Entry) error
	Record(ctx context.Context, e audit.Entry) error
}

// Sealer seals secrets for the database.
type Sealer interface {
	Seal(v secret.Value, context string) ([]byte, error)
	Open(sealed []byte, context string) (secret.Value, error)
}

// Config is what Recordings need; all of it is required but Refusals and Spare.
type Config struct {
	Store    Store
	Sealer   Sealer
	Refusals audit.Noter // nil: refused chunks are not put on record
	Quota    Quota
	Keep     time.Duration // from the last chunk on
	// Spare fails where the disk has too little left for more of a project; nil: it never has.
	Spare func(project wire.Key) error
	Log   *slog.Logger
	Now   func() time.Time
}

// Recordings has the use cases of recordings. Run must run beside it.
type Recordings struct{ Config }

// New makes Recordings.
func New(c Config) *Recordings { return &Recordings{c} }

func (r *Recordings) now() time.Time { return r.Now().UTC().Truncate(time.Microsecond) }

// told is a recording as the audit log has it: who keeps the last hash can tell later whether the recording is that one.
type told struct {
	Recording string `json:"recording"`
	By        string `json:"by"`
	Signer    string `json:"signer"`
	State     State  `json:"state"`
	Ended     string `json:"ended,omitempty"`
	Chunks    int64  `json:"chunks"`
	Bytes     int64  `json:"bytes"`
	Hash      string `json:"hash"`
	Purpose   string `json:"purpose,omitempty"`
}

func tell(r Recording) told {
	return told{
		Recording: r.ID(), By: string(r.By.Kind) + ":" + r.By.ID, Signer: wire.Fingerprint(r.Signer), State: r.State, Ended: r.Ended,
		Chunks: r.Chunks, Bytes: r.Bytes, Hash: base64.StdEncoding.EncodeToString(r.Hash),
	}
}

func assetOf(device wire.Key, name string) audit.Asset {
	return audit.Asset{Kind: "device", Key: device, Name: name}
}

func entry(by audit.Actor, action audit.Action, r Recording) audit.Entry {
	return audit.New(by, action, r.Project, assetOf(r.Device, r.DeviceName)).Changed(nil, tell(r))
}

// Find finds a recording by its id.
func (r *Recordings) Find(ctx context.Context, id string) (Recording, error) {
	tunnel, session, ok := parseID(id)
	if !ok {
		return Recording{}, errs.E(wire.NotFound, "no such recording")
	}
	found, err := r.Store.Recording(ctx, tunnel, session)
	return found, errs.Wrap("recording: find", err)
}

// List lists recordings.
func (r *Recordings) List(ctx context.Context, q Query) ([]Recording, error) {
	list, err := r.Store.Recordings(ctx, q)
	return list, errs.Wrap("recording: list", err)
}

// chunksSize is about how much Chunks gives at once.
const chunksSize = 512 << 10

// Chunks gives chunks from one on, as many as make an answer.
func (r *Recordings) Chunks(ctx context.Context, of Recording, from int64) ([]wire.RecordingChunk, error) {
	list, err := r.Store.RecordingChunks(ctx, of, from, chunksSize)
	return list, errs.Wrap("recording: chunks", err)
}

// Purposes for which a recording is opened.
const (
	Play   = "play"
	Export = "export"
)

// Unseal gives the key of one recording, once it is on record who has it and what for.
func (r *Recordings) Unseal(ctx context.Context, by audit.Actor, of Recording, purpose string) (secret.Value, error) {
	first, err := r.first(ctx, of)
	if err != nil {
		return secret.Value{}, errs.Wrap("recording: unseal", err)
	}
	pair, err := r.pair(ctx, of.Project)
	if err != nil {
		return secret.Value{}, errs.Wrap("recording: unseal", err)
	}
	out := tell(of)
	out.Purpose = purpose
	e := audit.New(by, audit.RecordingRead, of.Project, assetOf(of.Device, of.DeviceName)).Changed(nil, out)
	if err := r.Store.Record(ctx, e); err != nil {
		return secret.Value{}, errs.Wrap("recording: unseal", err)
	}
	key, err := pair.Unseal(first)
	if err != nil {
		return secret.Value{}, errs.As(wire.Conflict, err, "the recording was altered: %s", err)
	}
	return secret.New(key), nil
}

func (r *Recordings) first(ctx context.Context, of Recording) (wire.RecordingHead, error) {
	list, err := r.Store.RecordingChunks(ctx, of, 0, 1)
	if err != nil {
		return wire.RecordingHead{}, err
	}
	if len(list) == 0 {
		return wire.RecordingHead{}, errs.E(wire.Conflict, "the recording was altered: its first chunk is missing")
	}
	p, err := list[0].Parse()
	if err != nil {
		return wire.RecordingHead{}, errs.As(wire.Conflict, err, "the recording was altered: %s", err)
	}
	return p.Head, nil
}

func keyContext(project wire.Key) string { return fmt.Sprintf("recording|%s", project) }

// Key gives the public half of a project's recording key, which is made when it is first asked for.
func (r *Recordings) Key(ctx context.Context, project wire.Key) (public string, err error) {
	k, err := r.Store.RecordingKey(ctx, project)
	if errs.KindOf(err) == wire.NotFound {
		k, err = r.makeKey(ctx, project)
		if errs.KindOf(err) == wire.Conflict { // another request has made it
			k, err = r.Store.RecordingKey(ctx, project)
		}
	}
	return k.Public, errs.Wrap("recording: key", err)
}

func (r *Recordings) makeKey(ctx context.Context, project wire.Key) (Key, error) {
	pair, err := wire.NewRecordingKeyPair()
	if err != nil {
		return Key{}, errs.As(wire.Internal, err, "")
	}
	private, err := pair.Private()
	if err != nil {
		return Key{}, errs.As(wire.Internal, err, "")
	}
	sealed, err := r.Sealer.Seal(secret.New(private), keyContext(project))
	if err != nil {
		return Key{}, err
	}
	k := Key{Project: project, Public: pair.Public(), Sealed: sealed, Created: r.now()}
	e := audit.New(audit.Server, audit.RecordingKey, project, audit.Asset{Kind: "project", Key: project}).Changed(nil, map[string]string{"key": k.Public})
	return k, r.Store.InsertRecordingKey(ctx, k, e)
}

func (r *Recordings) pair(ctx context.Context, project wire.Key) (wire.RecordingKeyPair, error) {
	k, err := r.Store.RecordingKey(ctx, project)
	if err != nil {
		return wire.RecordingKeyPair{}, err
	}
	private, err := r.Sealer.Open(k.Sealed, keyContext(project))
	if err != nil {
		return wire.RecordingKeyPair{}, errs.As(wire.Unavailable, err, "the project's recording key cannot be opened: see bulkhead keys list")
	}
	pair, err := wire.ParseRecordingKeyPair(private.Reveal())
	return pair, errs.As(wire.Internal, err, "")
}
