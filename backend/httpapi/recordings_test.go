package httpapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/recording"
	"bulkhead/backend/remote"
	"bulkhead/db"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func newRecordings(s *stage, keys *secret.Keyring) *recording.Recordings {
	return recording.New(recording.Config{
		Store: db.NewRecordings(s.database.DB), Sealer: keys, Quota: recording.Quota{Project: 1 << 20, Device: 1 << 20}, Keep: time.Hour,
		Log: slog.New(slog.DiscardHandler), Now: s.clock.Now,
	})
}

var _ = alsoBad(map[string][]bad{
	"list-recordings": {{"GET", "/projects/nowhere/recordings", "", 404, "not_found"}, {"GET", "/projects/plant-a/recordings?device=nowhere", "", 404, "not_found"}, {"GET", "/projects/plant-b/recordings?device={serial}", "", 404, "not_found"}, {"GET", "/projects/plant-a/recordings?device=" + strings.Repeat("a", 65), "", 422, "invalid"}},
	"get-recording":   {{"GET", "/recordings/nowhere", "", 404, "not_found"}, {"GET", "/recordings/nowhere.1", "", 404, "not_found"}, {"GET", "/recordings/.1", "", 404, "not_found"}, {"GET", "/recordings/%00.1", "", 422, "invalid"}, {"GET", "/recordings/" + strings.Repeat("a", 71), "", 422, "invalid"}},
	"unseal-recording": {
		{"POST", "/recordings/nowhere.1/unseal", `{"purpose":"play"}`, 404, "not_found"}, {"POST", "/recordings/nowhere.1/unseal", `{"purpose":"sell"}`, 422, "invalid"},
		{"POST", "/recordings/nowhere.1/unseal", `{}`, 422, "invalid"}, {"POST", "/recordings/nowhere.1/unseal", "", 400, "invalid"},
	},
	"list-recording-chunks": {{"GET", "/recordings/nowhere.1/chunks", "", 404, "not_found"}, {"GET", "/recordings/nowhere.1/chunks?from=-1", "", 422, "invalid"}, {"GET", "/recordings/nowhere.1/chunks?from=x", "", 422, "invalid"}},
})

// ofRecordings are the operations that ask of the device which a recording is of, and what they ask: the tests of this file show it.
var ofRecordings = map[string]wire.Flag{
	"get-recording": wire.DeviceRead, "unseal-recording": wire.DeviceRecording, "list-recording-chunks": wire.DeviceRecording,
}

var _ = func() bool {
	exampleBody["unseal-recording"] = `{"purpose":"play"}`
	for id := range ofRecordings {
		elsewhere[id] = true
		onlyRefused[id] = "needs a device that has recorded"
	}
	return true
}()

// recorded keeps a recording of a device's shell, as the device would have sent it, and gives its id.
func (s *stage) recorded(d httpapi.Device) string {
	s.t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	now := s.clock.Now().UTC().Truncate(time.Microsecond)
	tunnel := remote.Tunnel{
		ID: "T" + d.Key.String(), Project: d.ProjectKey, Device: d.Key, DeviceName: d.Name, Serial: d.Serial, By: audit.Actor{Kind: audit.User, ID: "7"}, Target: wire.PTY,
		EndToEnd: true, TTL: time.Hour, State: remote.Approved, AskedAt: now, Record: true, Signer: wire.Fingerprint(pkix),
	}
	tunnels, on := db.NewTunnels(s.database.DB), audit.Asset{Kind: "device", Key: d.Key}
	if err := tunnels.InsertTunnel(s.t.Context(), tunnel, audit.New(tunnel.By, audit.TunnelRequest, d.ProjectKey, on)); err != nil {
		s.t.Fatal(err)
	}
	tunnel.State, tunnel.OpenedAt, tunnel.ExpiresAt = remote.Open, now, now.Add(time.Hour)
	if err := tunnels.UpdateTunnel(s.t.Context(), tunnel, []remote.State{remote.Approved}, audit.New(tunnel.By, audit.TunnelOpen, d.ProjectKey, on)); err != nil {
		s.t.Fatal(err)
	}
	recordings := s.config.Recordings
	public, err := recordings.Key(s.t.Context(), d.ProjectKey)
	if err != nil {
		s.t.Fatal(err)
	}
	sealer, err := wire.NewRecordingSealer(wire.RecordingHead{Tunnel: tunnel.ID, Session: 1, Project: d.ProjectKey, Device: d.Key, Serial: d.Serial}, signer, public)
	if err != nil {
		s.t.Fatal(err)
	}
	chunk, err := sealer.Seal([]byte("$ ls"), 1, wire.RecordingComplete)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := recordings.Append(s.t.Context(), recording.Device{Project: d.ProjectKey, Key: d.Key, Serial: d.Serial}, chunk); err != nil {
		s.t.Fatal(err)
	}
	return tunnel.ID + ".1"
}

func onRecording(path, id string) string {
	return httpapi.Prefix + strings.Replace(path, "{recording}", id, 1)
}

// A recording is as much its project's as the device that it is of.
func TestARecordingOfAnotherProjectDoesNotExist(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, d, _ := s.plant("plant-a")
	s.plant("plant-b")
	id := s.recorded(d.Device)
	who, as := s.somebody("stranger", "*")
	s.join("plant-b", who, wire.SetAdministrator)
	before := len(auditActions(t, s))
	for _, op := range operations(t, s) {
		if !strings.Contains(op.path, "{recording}") {
			continue
		}
		real, none := s.sameTime(op.id, func() answer { return s.do(op.method, onRecording(op.path, id), bodyOf(op.id), as) }, func() answer { return s.do(op.method, onRecording(op.path, "nowhere.1"), bodyOf(op.id), as) })
		if real.status != 404 || told(real) != told(none) {
			t.Errorf("%s: %s, and of none: %s", op.id, told(real), told(none))
		}
	}
	if after := len(auditActions(t, s)); after != before {
		t.Errorf("what was refused left %d entries", after-before)
	}
	must[httpapi.Recording](s, 200, "GET", "/recordings/"+id, nil) // so that the test can fail
}

// What is done with a recording asks of its device what the operation names, and nothing less: to see that a device was
// recorded is not to see what.
func TestARecordingAsksForThePrivilegesOnItsDevice(t *testing.T) {
	t.Parallel()
	w := &watching{}
	s := newStage(t, func(c *httpapi.Config) { c.Authorizer = w })
	p, d, _ := s.plant("plant-a")
	id, asked := s.recorded(d.Device), 0
	w.take()
	for _, op := range operations(t, s) {
		if !strings.Contains(op.path, "{recording}") {
			continue
		}
		a := s.do(op.method, onRecording(op.path, id), bodyOf(op.id))
		want := []question{{ofRecordings[op.id], httpapi.Target{Kind: "device", Project: p.Key, Key: d.Device.Key}}}
		if got := w.take(); a.status != 200 || !slices.Equal(got, want) || string(want[0].flag) != op.Privilege {
			t.Errorf("%s, which names %s, asked %v, want %v: %d %s", op.id, op.Privilege, got, want, a.status, a.body)
		}
		asked++
	}
	if asked != len(ofRecordings) {
		t.Errorf("%d operations take a recording, want %d", asked, len(ofRecordings))
	}
}

// The list shows the recordings of the devices alone that the caller sees.
func TestAListOfRecordingsHasThoseOfDevicesThatOneSees(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, d, _ := s.plant("plant-a")
	s.hall()
	other := must[httpapi.DeviceFlash](s, 201, "POST", "/projects/plant-a/devices", httpapi.DeviceCreate{Name: "press-2"})
	id, hidden := s.recorded(d.Device), s.recorded(other.Device)
	who, as := s.somebody("limited", "*")
	must[httpapi.Member](s, 201, "POST", "/projects/plant-a/members", httpapi.MemberCreate{Principal: who.String(), Groups: []string{"hall"}})
	must[httpapi.Grant](s, 201, "POST", "/grants", httpapi.GrantCreate{Principal: "limited", Asset: "group:plant-a/hall", Flags: []wire.Flag{wire.DeviceRead}})
	list := must[httpapi.List[httpapi.Recording]](s, 200, "GET", "/projects/plant-a/recordings", nil, as)
	if len(list.Items) != 1 || list.Items[0].ID != id {
		t.Errorf("%+v", list)
	}
	s.refused(404, "not_found", "GET", "/projects/plant-a/recordings?device=press-2", nil, as)
	s.refused(404, "not_found", "GET", "/recordings/"+hidden, nil, as)
	s.refused(403, "denied", "POST", "/recordings/"+id+"/unseal", `{"purpose":"play"}`, as)
	s.refused(403, "denied", "GET", "/recordings/"+id+"/chunks", nil, as)
}
