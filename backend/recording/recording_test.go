package recording_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/backend/recording"
	"bulkhead/backend/remote"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

var ann = audit.Actor{Kind: audit.User, ID: "7", Name: "Ann"}

type stage struct {
	*recording.Recordings
	t       *testing.T
	db      *db.DB
	tunnels *db.Tunnels
	store   *db.Recordings
	device  *ecdsa.PrivateKey
	by      recording.Device
	now     time.Time
	short   atomic.Bool // of disk space
	tunnel  remote.Tunnel
}

func (s *stage) spare(project wire.Key) error {
	if s.short.Load() {
		return errs.E(wire.Unavailable, "no room for %s", project)
	}
	return nil
}

func newStage(t *testing.T) *stage {
	t.Helper()
	d := dbtest.New(t).DB
	s := &stage{t: t, db: d, tunnels: db.NewTunnels(d), store: db.NewRecordings(d), by: recording.Device{Project: 11, Key: 33, Serial: wire.NewSerial()}, now: time.Now().UTC().Truncate(time.Microsecond)}
	project := asset.Project{Key: 11, Name: "plant-a", Revision: 1, CreatedAt: s.now}
	if err := db.NewAssets(d).InsertProject(t.Context(), project, audit.New(ann, audit.ProjectCreate, 11, audit.Asset{Kind: "project", Key: 11})); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.device, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	keys, err := secret.NewKeyring(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	s.Recordings = recording.New(recording.Config{
		Store: s.store, Sealer: keys, Quota: recording.Quota{Project: 40_000, Device: 30_000}, Keep: time.Hour, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return s.now }, Spare: s.spare,
	})
	s.open("T1")
	return s
}

// open opens a tunnel to the device.
func (s *stage) open(id string) {
	s.t.Helper()
	pkix, _ := x509.MarshalPKIXPublicKey(s.device.Public())
	s.tunnel = remote.Tunnel{
		ID: id, Project: 11, Device: s.by.Key, DeviceName: "press-1", Serial: s.by.Serial, By: ann, Target: wire.PTY, EndToEnd: true, TTL: time.Hour,
		State: remote.Approved, AskedAt: s.now, Record: true, Signer: wire.Fingerprint(pkix),
	}
	e := audit.New(ann, audit.TunnelRequest, 11, audit.Asset{Kind: "device", Key: s.by.Key})
	if err := s.tunnels.InsertTunnel(s.t.Context(), s.tunnel, e); err != nil {
		s.t.Fatal(err)
	}
	s.move(remote.Approved, remote.Open)
}

func (s *stage) move(from, to remote.State) {
	s.t.Helper()
	s.tunnel.State, s.tunnel.OpenedAt, s.tunnel.ExpiresAt = to, s.now, s.now.Add(time.Hour)
	if to == remote.Closed {
		s.tunnel.ClosedAt, s.tunnel.Ended = s.now, "device_left"
	}
	e := audit.New(ann, audit.TunnelOpen, 11, audit.Asset{Kind: "device", Key: 33})
	if err := s.tunnels.UpdateTunnel(s.t.Context(), s.tunnel, []remote.State{from}, e); err != nil {
		s.t.Fatal(err)
	}
}

// sealer begins the recording of a shell of the tunnel.
func (s *stage) sealer(session int, signer *ecdsa.PrivateKey) *wire.RecordingSealer {
	s.t.Helper()
	public, err := s.Key(s.t.Context(), 11)
	if err != nil {
		s.t.Fatal(err)
	}
	made, err := wire.NewRecordingSealer(wire.RecordingHead{Tunnel: s.tunnel.ID, Session: session, Project: 11, Device: s.by.Key, Serial: s.by.Serial}, signer, public)
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

func seal(t *testing.T, s *wire.RecordingSealer, text, end string) wire.RecordingChunk {
	t.Helper()
	c, err := s.Seal([]byte(text), 1, end)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *stage) want(kind wire.Kind, c wire.RecordingChunk, what string) {
	s.t.Helper()
	if err := s.Append(s.t.Context(), s.by, c); errs.KindOf(err) != kind {
		s.t.Errorf("%s: %v, want kind %q", what, err, kind)
	}
}

func (s *stage) state(id string, state recording.State, chunks int64) {
	s.t.Helper()
	if r, err := s.Find(s.t.Context(), id); err != nil || r.State != state || r.Chunks != chunks {
		s.t.Errorf("%s is %s with %d chunks, %v; want %s with %d", id, r.State, r.Chunks, err, state, chunks)
	}
}

func TestARecordingIsKeptInOrderAndFromItsDeviceAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	one := s.sealer(1, s.device)
	first, second, third := seal(t, one, "first", ""), seal(t, one, "second", ""), seal(t, one, "third", wire.RecordingComplete)
	s.want(wire.Denied, second, "before the first")
	foreign := s.by
	foreign.Key, foreign.Serial = 44, wire.NewSerial()
	if err := s.Append(t.Context(), foreign, first); errs.KindOf(err) != wire.Denied {
		t.Errorf("by another device: %v", err)
	}
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.want(wire.Denied, seal(t, s.sealer(2, stranger), "x", ""), "signed with another key")
	for range 2 { // an answer may be lost
		s.want("", first, "the first")
	}
	s.want("", second, "the second")
	s.want("", second, "the second again")
	s.want("", third, "the third")
	s.want("", third, "the third again")
	s.state("T1.1", recording.Complete, 3)
	s.want(wire.Invalid, wire.RecordingChunk{Head: "?"}, "no chunk")

	gap := s.sealer(3, s.device)
	s.want("", seal(t, gap, "first", ""), "a first")
	_ = seal(t, gap, "left out", "")
	s.want(wire.Invalid, seal(t, gap, "third", ""), "after a gap")
	s.state("T1.3", recording.Cut, 1)
	fork, other := s.sealer(4, s.device), s.sealer(4, s.device)
	s.want("", seal(t, fork, "first", ""), "a first")
	s.want(wire.Conflict, seal(t, other, "another first", ""), "another first")
	s.want(wire.Invalid, seal(t, other, "another second", ""), "that follows another")
	s.state("T1.4", recording.Cut, 1)
}

func TestWhoPlaysARecordingIsOnRecordBeforeTheKeyIsGiven(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	chunk := seal(t, s.sealer(1, s.device), "shown", wire.RecordingComplete)
	s.want("", chunk, "the only chunk")
	of, err := s.Find(t.Context(), "T1.1")
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Unseal(t.Context(), ann, of, recording.Play)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := chunk.Parse()
	opener, err := wire.NewRecordingOpener(key.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := opener.Open(p); string(plain) != "shown" || err != nil {
		t.Errorf("%q, %v", plain, err)
	}
	entries, err := s.store.Entries(t.Context(), audit.Query{Project: 11, Action: audit.RecordingRead, Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Actor.ID != ann.ID || !strings.Contains(string(entries[0].After), `"play"`) {
		t.Errorf("%+v, %v", entries, err)
	}
	for _, id := range []string{"", "T1", "T1.", "T1.01", "T1.2", "T2.1", ".1", "T1.1.1"} {
		if _, err := s.Find(context.Background(), id); errs.KindOf(err) != wire.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestRecordingsAreBoundedCutAndDeletedForTheirAge(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	full := s.sealer(1, s.device)
	first := seal(t, full, strings.Repeat("x", 20_000), "")
	s.short.Store(true)
	s.want(wire.Unavailable, first, "short of disk space")
	s.short.Store(false)
	s.want("", first, "within the quota")
	s.want(wire.Exhausted, seal(t, full, strings.Repeat("x", 20_000), ""), "beyond the quota")
	s.state("T1.1", recording.Open, 1)
	s.move(remote.Open, remote.Closed)
	s.want(wire.Conflict, seal(t, s.sealer(2, s.device), "x", ""), "of a tunnel that has ended")
	if err := s.CutLeft(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.state("T1.1", recording.Open, 1) // its last chunks may be on their way
	s.now = s.now.Add(time.Minute)
	if err := s.CutLeft(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.state("T1.1", recording.Cut, 1)
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.state("T1.1", recording.Cut, 1)
	s.now = s.now.Add(time.Hour)
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(t.Context(), "T1.1"); errs.KindOf(err) != wire.NotFound {
		t.Errorf("it is there: %v", err)
	}
	entries, err := s.store.Entries(t.Context(), audit.Query{Project: 11, Action: audit.RecordingDelete, Limit: 10})
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// One that records without end leaves room for the recordings of its neighbours, which their projects may demand.
func TestADeviceThatRecordsMuchLeavesRoomForItsNeighbours(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Quota = recording.Quota{Project: 40_000, Device: 40_000}
	much := s.sealer(1, s.device)
	s.want("", seal(t, much, strings.Repeat("x", 28_000), ""), "of what all share")
	s.want(wire.Exhausted, seal(t, much, strings.Repeat("x", 4_000), ""), "of what is for others")
	s.by = recording.Device{Project: 11, Key: 44, Serial: wire.NewSerial()}
	s.open("T2")
	other := s.sealer(1, s.device)
	s.want("", seal(t, other, strings.Repeat("x", 1_200), ""), "a neighbour's")
	s.want("", seal(t, other, "end", wire.RecordingComplete), "a neighbour's end")
}

// A device in other hands sends chunks for the tunnel of its neighbour, without pause: they are refused, the log has as many
// of them as it takes, and the neighbour's recording is whole.
func TestChunksForTheTunnelsOfOthersHoldUpNoRecordingAndFillNoLog(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	refusals := audit.NewRefusals(db.NewAudit(s.db), slog.New(slog.DiscardHandler), time.Now)
	s.Refusals = refusals
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { refusals.Serve(ctx) })
	thief := recording.Device{Project: 11, Key: 44, Serial: wire.NewSerial()}
	forged := seal(t, s.sealer(7, s.device), "forged", "")
	const senders, each = 3, 100
	var flood sync.WaitGroup
	for range senders {
		flood.Go(func() {
			for range each {
				if err := s.Append(t.Context(), thief, forged); errs.KindOf(err) != wire.Denied {
					t.Errorf("a forged chunk: %v", err)
				}
			}
		})
	}
	own := s.sealer(1, s.device)
	for range 20 {
		s.want("", seal(t, own, "shown", ""), "a chunk")
	}
	s.want("", seal(t, own, "end", wire.RecordingComplete), "the end")
	flood.Wait()
	s.state("T1.1", recording.Complete, 21)
	cancel()
	wg.Wait() // what was counted is written
	entries, err := s.store.Entries(t.Context(), audit.Query{Project: 11, Action: audit.RecordingRefuse, Limit: 500})
	if err != nil || len(entries) == 0 || len(entries) >= senders*each/2 {
		t.Errorf("%d of %d refusals are in the log, %v", len(entries), senders*each, err)
	}
}
