package remote_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/backend/remote"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// far is the gateway and the devices.
type far struct {
	mu      sync.Mutex // guards what follows
	admit   error
	refuse  error
	passes  map[string]remote.Pass
	ended   map[string]string
	grants  []wire.SignedGrant
	reply   wire.TunnelOpenReply
	suspend bool
	revoked map[wire.Key]bool // who may approve nothing any more
	later   time.Duration     // how far the clock has gone on
	coming  func()            // is done by the device before it answers, when not nil
}

func (f *far) Admit(p remote.Pass) (user, device secret.Value, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.admit != nil {
		return secret.Value{}, secret.Value{}, f.admit
	}
	f.passes[p.ID] = p
	return secret.Random(), secret.Random(), nil
}

func (f *far) End(id, reason string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.passes[id]
	if ok && f.ended[id] == "" {
		f.ended[id] = reason
	}
	return ok
}

func (f *far) Extend(id string, expires time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.passes[id]
	p.Expires = expires
	f.passes[id] = p
	return ok
}

func (f *far) Usage(string) (remote.Usage, bool) { return remote.Usage{}, false }

func (f *far) OpenTunnel(_ context.Context, _, _ wire.Key, r wire.TunnelOpenRequest) (wire.TunnelOpenReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants = append(f.grants, r.Grant)
	if f.coming != nil {
		f.coming()
	}
	return f.reply, f.refuse
}

func (f *far) ExtendTunnel(_ context.Context, _, _ wire.Key, r wire.TunnelExtendRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants = append(f.grants, r.Grant)
	return f.refuse
}

func (f *far) reason(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended[id]
}

type stage struct {
	*remote.Remote
	t      *testing.T
	far    *far
	store  *db.Tunnels
	assets *db.Assets
	device remote.Device
	public ed25519.PublicKey
}

var recordingKey = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))

var fingerprint = base64.StdEncoding.EncodeToString(make([]byte, 32))

func newStage(t *testing.T) *stage {
	t.Helper()
	d := dbtest.New(t).DB
	project := asset.Project{Key: 11, Name: "plant-a", Revision: 1, CreatedAt: time.Now()}
	e := audit.New(audit.Server, audit.ProjectCreate, project.Key, audit.Asset{Kind: "project", Key: project.Key})
	assets := db.NewAssets(d)
	if err := assets.InsertProject(t.Context(), project, e); err != nil {
		t.Fatal(err)
	}
	public, private, _ := ed25519.GenerateKey(nil)
	s := &stage{t: t, far: &far{passes: map[string]remote.Pass{}, ended: map[string]string{}, reply: wire.TunnelOpenReply{Key: fingerprint}}, store: db.NewTunnels(d), assets: assets, public: public}
	s.device = remote.Device{Project: 11, Key: 33, Name: "press-1", Serial: wire.NewSerial()}
	s.Remote = remote.New(remote.Config{
		Store: s.store, Gateway: s.far, Agents: s.far, Key: private, UserURL: "wss://gw.example/tunnel/user", DeviceURL: "wss://gw.example/tunnel/device",
		Reachable: func(wire.Key, wire.Serial) bool {
			s.far.mu.Lock()
			defer s.far.mu.Unlock()
			return !s.far.suspend
		},
		MayApprove: func(_ context.Context, user wire.Key, _ remote.Tunnel) bool {
			s.far.mu.Lock()
			defer s.far.mu.Unlock()
			return !s.far.revoked[user]
		},
		RecordingKey: func(context.Context, wire.Key) (string, error) { return recordingKey, nil },
		Log:          slog.New(slog.DiscardHandler), Now: func() time.Time {
			s.far.mu.Lock()
			defer s.far.mu.Unlock()
			return time.Now().Add(s.far.later)
		},
	})
	return s
}

func person(id string) remote.Requester {
	return remote.Requester{
		Actor: audit.Actor{Kind: audit.User, ID: id, Name: "user " + id}, Login: "login-" + id, Fresh: true, Method: "second_factor", At: time.Now(),
		Still: func(context.Context) bool { return true },
	}
}

var ask = remote.Ask{Target: wire.Target{Protocol: wire.ProtocolTCP, Host: "127.0.0.1", Port: 80}, EndToEnd: true}

func (s *stage) request(by remote.Requester) remote.Tunnel {
	s.t.Helper()
	tunnel, err := s.Request(s.t.Context(), by, s.device, ask)
	if err != nil {
		s.t.Fatal(err)
	}
	return tunnel
}

func (s *stage) open(by remote.Requester) remote.Tunnel {
	s.t.Helper()
	opening, err := s.OpenTunnel(s.t.Context(), by, s.request(by).ID, remote.UserEnd{Key: fingerprint})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Opened(s.t.Context(), opening.Tunnel.ID); err != nil {
		s.t.Fatal(err)
	}
	return opening.Tunnel
}

func (s *stage) state(id string) remote.Tunnel {
	s.t.Helper()
	tunnel, err := s.Find(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return tunnel
}

func TestAGrantSaysWhoWhatAndForHowLong(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tunnel := s.open(person("7"))
	g, err := s.far.grants[0].Verify(s.public)
	if err != nil || g.ID != tunnel.ID || g.By.ID != "7" || g.By.Method != "second_factor" || g.Target != ask.Target || g.ClientKey != fingerprint || g.Device != 33 ||
		g.Gateway != "wss://gw.example/tunnel/device" || g.Expires-g.NotBefore > (time.Hour+time.Minute).Milliseconds() || g.OpenBy-g.NotBefore > 2*time.Minute.Milliseconds() {
		t.Errorf("%+v, %v", g, err)
	}
	if got := s.state(tunnel.ID); got.State != remote.Open || got.OpenedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestARequestOpensOneTunnelOnceByWhoAskedForIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tunnel := s.request(person("7"))
	stale, without := person("7"), person("7")
	stale.Fresh, without.Still = false, nil
	for name, c := range map[string]struct {
		by   remote.Requester
		key  string
		kind wire.Kind
	}{
		"another":        {person("8"), fingerprint, wire.Denied},
		"a stale factor": {stale, fingerprint, wire.Denied},
		"no right":       {without, fingerprint, wire.Denied},
		"no key":         {person("7"), "", wire.Invalid},
		"no such key":    {person("7"), "AAAA", wire.Invalid},
	} {
		if _, err := s.OpenTunnel(t.Context(), c.by, tunnel.ID, remote.UserEnd{Key: c.key}); errs.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	opened := 0
	for range 8 {
		wg.Go(func() {
			if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint}); err == nil {
				mu.Lock()
				opened++
				mu.Unlock()
			} else if errs.KindOf(err) != wire.Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if opened != 1 || len(s.far.grants) != 1 {
		t.Errorf("opened %d times, with %d grants", opened, len(s.far.grants))
	}
}

func TestNobodyApprovesTheirOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if err := s.SetPolicy(t.Context(), person("1").Actor, 11, remote.Policy{Approval: true}); err != nil {
		t.Fatal(err)
	}
	tunnel := s.request(person("7"))
	if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Conflict {
		t.Errorf("without an approval: %v", err)
	}
	if _, err := s.Decide(t.Context(), person("7"), tunnel.ID, true); errs.KindOf(err) != wire.Denied {
		t.Errorf("one's own: %v", err)
	}
	stale := person("8")
	stale.Fresh = false
	if _, err := s.Decide(t.Context(), stale, tunnel.ID, true); errs.KindOf(err) != wire.Denied {
		t.Errorf("a stale factor: %v", err)
	}
	if _, err := s.Decide(t.Context(), person("8"), tunnel.ID, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint}); err != nil {
		t.Error(err)
	}
	denied := s.request(person("7"))
	if _, err := s.Decide(t.Context(), person("8"), denied.ID, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenTunnel(t.Context(), person("7"), denied.ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Conflict {
		t.Errorf("denied: %v", err)
	}
}

func TestAPolicyHoldsForRequestsThatCameBefore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tunnel := s.request(person("7"))
	if err := s.SetPolicy(t.Context(), person("1").Actor, 11, remote.Policy{Approval: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Conflict {
		t.Errorf("got %v", err)
	}
}

func TestWhatADeviceRefusesIsOnRecordInWordsThatCanBeRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.far.refuse = errs.E(wire.Denied, "no\x00\x1b[2J\xff \u009b2J \u202eyaw\u2066 a\u200bt\ufeff all %s", strings.Repeat("x", 1000))
	tunnel := s.request(person("7"))
	_, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint})
	if errs.KindOf(err) != wire.Denied || strings.ContainsAny(errs.UserText(err), "\x00\x1b\u009b\u202e\u2066\u200b\ufeff") {
		t.Errorf("got %v", err)
	}
	s.Closed(t.Context(), tunnel.ID, remote.Closing{Reason: s.far.reason(tunnel.ID)})
	if got := s.state(tunnel.ID); got.State != remote.Closed || !strings.HasPrefix(got.Ended, "refused: ") || len(got.Ended) > 500 || strings.ContainsAny(got.Ended, "\x00\x1b\u202e\u200b") {
		t.Errorf("got %+v", got)
	}
}

func TestATunnelEndsWithItsLoginRightOrDevice(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	may := true
	bound := person("7")
	bound.Still = func(context.Context) bool { return may }
	first, second := s.open(bound), s.open(person("8"))
	s.EndLogin("login-of-nobody")
	s.Recheck(t.Context())
	if s.far.reason(first.ID) != "" || s.far.reason(second.ID) != "" {
		t.Fatal("a tunnel ended for nothing")
	}
	s.EndLogin("login-8")
	may = false
	s.Recheck(t.Context())
	if s.far.reason(second.ID) != "login_ended" || s.far.reason(first.ID) != "revoked" {
		t.Errorf("%q, %q", s.far.reason(first.ID), s.far.reason(second.ID))
	}
	third := s.open(person("9"))
	s.far.mu.Lock()
	s.far.suspend = true
	s.far.mu.Unlock()
	s.Recheck(t.Context())
	if s.far.reason(third.ID) != "revoked" {
		t.Errorf("%q", s.far.reason(third.ID))
	}
	if _, err := s.OpenTunnel(t.Context(), person("9"), s.request(person("9")).ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Denied {
		t.Errorf("to a suspended device: %v", err)
	}
}

func TestAnExtensionIsGrantedAnewAndBounded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tunnel := s.open(person("7"))
	if _, err := s.Extend(t.Context(), person("8"), tunnel.ID, time.Hour); errs.KindOf(err) != wire.Denied {
		t.Errorf("another: %v", err)
	}
	if _, err := s.Extend(t.Context(), person("7"), tunnel.ID, 9*time.Hour); errs.KindOf(err) != wire.Invalid {
		t.Errorf("for too long: %v", err)
	}
	got, err := s.Extend(t.Context(), person("7"), tunnel.ID, 2*time.Hour)
	if err != nil || got.ExpiresAt.Sub(tunnel.ExpiresAt) < 50*time.Minute {
		t.Errorf("%v, %v", got.ExpiresAt, err)
	}
	if g, err := s.far.grants[1].Verify(s.public); err != nil || g.ID != tunnel.ID || g.Expires != got.ExpiresAt.UnixMilli() {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestTheNextStartTellsTheEndOfWhatAKilledServerLeft(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	open := s.open(person("7"))
	next := remote.New(s.Config)
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.state(open.ID); got.State != remote.Closed || got.Ended != "server_restarted" {
		t.Errorf("got %+v", got)
	}
	entries, err := s.store.Entries(t.Context(), audit.Query{Project: 11, Limit: 10})
	if err != nil || len(entries) == 0 || entries[0].Action != audit.TunnelClose {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestARequestThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for name, a := range map[string]remote.Ask{
		"no target":         {},
		"sealed pages":      {Target: wire.Target{Protocol: wire.ProtocolHTTP, Host: "127.0.0.1", Port: 80}, EndToEnd: true},
		"too long":          {Target: ask.Target, TTL: 9 * time.Hour},
		"too short":         {Target: ask.Target, TTL: time.Second},
		"an odd address":    {Target: wire.Target{Protocol: wire.ProtocolTCP, Host: "0x7f.1", Port: 80}},
		"an escape":         {Target: ask.Target, Reason: "\x1b[2J"},
		"one of 8 bits":     {Target: ask.Target, Reason: "\u009b2J"},
		"turned letters":    {Target: ask.Target, Reason: "a\u202eb"},
		"hidden letters":    {Target: ask.Target, Reason: "a\u200bb"},
		"a second line":     {Target: ask.Target, Reason: "a\nb"},
		"a host with marks": {Target: wire.Target{Protocol: wire.ProtocolTCP, Host: "pl\u202ec", Port: 80}},
		"a host with sense": {Target: wire.Target{Protocol: wire.ProtocolHTTP, Host: "plc\x1b[2J", Port: 80}},
		"an endless reason": {Target: ask.Target, Reason: strings.Repeat("x", 501)},
	} {
		if _, err := s.Request(t.Context(), person("7"), s.device, a); errs.KindOf(err) != wire.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Request(t.Context(), remote.Requester{}, s.device, ask); errs.KindOf(err) != wire.Denied {
		t.Errorf("nobody: %v", err)
	}
	s.far.admit = errors.New("full")
	tunnel := s.request(person("7"))
	if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint}); err == nil {
		t.Error("opened without the gateway")
	}
	if got := s.state(tunnel.ID); got.State != remote.Closed {
		t.Errorf("got %+v", got)
	}
}

// A project that demands recordings has no way around them, and a device that does not record opens nothing there.
func TestWhatMustBeRecordedIsAShellOfADeviceThatRecords(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ann := person("ann")
	if _, err := s.Request(t.Context(), ann, s.device, remote.Ask{Target: ask.Target, Record: true}); errs.KindOf(err) != wire.Denied {
		t.Errorf("a recorded connection: %v", err)
	}
	before, err := s.Request(t.Context(), ann, s.device, ask)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetPolicy(t.Context(), ann.Actor, s.device.Project, remote.Policy{Recording: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenTunnel(t.Context(), ann, before.ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Denied || !strings.Contains(errs.UserText(err), "only shells") {
		t.Errorf("asked for before the project demanded it: %v", err)
	}
	if _, err := s.Request(t.Context(), ann, s.device, ask); errs.KindOf(err) != wire.Denied {
		t.Errorf("asked for after that: %v", err)
	}
	shell := remote.Ask{Target: wire.PTY, EndToEnd: true}
	for _, records := range []bool{false, true} {
		s.far.mu.Lock()
		s.far.reply.Recorded = records
		s.far.mu.Unlock()
		asked, err := s.Request(t.Context(), ann, s.device, shell)
		if err != nil || !asked.Record {
			t.Fatalf("%+v, %v", asked, err)
		}
		opening, err := s.OpenTunnel(t.Context(), ann, asked.ID, remote.UserEnd{Key: fingerprint})
		if !records {
			if errs.KindOf(err) != wire.Denied || !strings.Contains(errs.UserText(err), "does not record") || s.far.reason(asked.ID) == "" {
				t.Errorf("a device that does not record: %v", err)
			}
			continue
		}
		if err != nil || opening.Tunnel.Signer != fingerprint {
			t.Fatalf("%+v, %v", opening.Tunnel, err)
		}
		if err := s.Opened(t.Context(), asked.ID); err != nil {
			t.Fatal(err)
		}
		if kept, err := s.store.Tunnel(t.Context(), asked.ID); err != nil || !kept.Record || kept.Signer != fingerprint {
			t.Errorf("%+v, %v", kept, err)
		}
	}
	s.far.mu.Lock()
	defer s.far.mu.Unlock()
	g, err := s.far.grants[len(s.far.grants)-1].Verify(s.public)
	if err != nil || !g.Record || g.RecordKey != recordingKey {
		t.Errorf("granted: %+v, %v", g, err)
	}
}

// The gateway may have seen the device, and for a page in the browser that is all it waits for, before the device's answer
// is here. An opening on record without what the answer says would have every chunk of its recording refused.
func TestADeviceThatComesBeforeItsAnswerIsRecordedAllTheSame(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ann := person("ann")
	asked, err := s.Request(t.Context(), ann, s.device, remote.Ask{Target: wire.PTY, EndToEnd: true, Record: true})
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	s.far.reply.Recorded = true
	s.far.coming = func() {
		brief, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := s.Opened(brief, asked.ID); errs.KindOf(err) != wire.Canceled {
			t.Errorf("opened before the device has answered: %v", err)
		}
		go func() { opened <- s.Opened(t.Context(), asked.ID) }()
	}
	if _, err := s.OpenTunnel(t.Context(), ann, asked.ID, remote.UserEnd{Key: fingerprint}); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	if kept, err := s.store.Tunnel(t.Context(), asked.ID); err != nil || kept.State != remote.Open || kept.Signer != fingerprint {
		t.Errorf("%+v, %v", kept, err)
	}
}
