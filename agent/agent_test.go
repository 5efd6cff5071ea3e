package agent_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/agent"
	"bulkhead/agent/state"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

func TestADevicesMetricsReachItsTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t.TempDir())
	rows := w.table.await(t, atLeast(3))
	for i, r := range rows {
		if r.s.Realm != dataRealm.Name() || r.s.Table != "metrics" || r.s.Device != device || r.s.AuthID != string(w.flash.Serial) {
			t.Errorf("row of %+v", r.s)
		}
		if r.tsp%200 != 0 || r.seq == 0 || r.seq >= 1<<53 {
			t.Errorf("row %d has time %d and number %d", i, r.tsp, r.seq)
		}
		if i > 0 && (r.seq != rows[i-1].seq+1 || r.tsp <= rows[i-1].tsp) {
			t.Errorf("rows are out of order: %s", describe(rows))
		}
	}
	row := rows[2].s.Args[0].(map[string]any)
	for _, c := range agent.HostColumns {
		if _, ok := row[c.ID]; !ok && !strings.HasPrefix(c.ID, "disk_") { // a container may have no disks
			t.Errorf("%s is missing", c.ID)
		}
		delete(row, c.ID)
	}
	delete(row, "tsp")
	if len(row) > 0 {
		t.Errorf("rows have columns that nobody announced: %v", row)
	}
}

func TestADeviceAnswersInBothOfItsRealms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t.TempDir())
	management, data := w.session(deviceRealm), w.session(dataRealm)
	if pong := call[wire.AgentPong](t, management, wire.AgentFunction(project, device, wire.FunctionPing)); pong.Time == 0 {
		t.Error("no time in the device realm")
	}
	if pong := call[wire.AgentPong](t, data, function(wire.FunctionPing)); pong.Time == 0 {
		t.Error("no time in the data realm")
	}
	info := call[wire.AgentInfo](t, data, function(wire.FunctionInfo))
	if info.Serial != w.flash.Serial || info.Device != device || info.Agent != "test" || info.Boot != 1 || len(info.Realms) != 1 || !info.Realms[0].Joined {
		t.Errorf("info is %+v", info)
	}
	if row := call[wire.Row](t, data, function(wire.FunctionMetrics)); row["mem_total_bytes"] == nil || row["tsp"] == nil {
		t.Errorf("metrics are %v", row)
	}
}

func TestPresenceTellsOfComingAndGoing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := make(chan wire.PresenceEvent, 8)
	_, err := wampx.Subscribe(t.Context(), w.session(deviceRealm), wire.Presence(project, device),
		func(_ context.Context, e wire.PresenceEvent, _ wampx.Event) { seen <- e })
	if err != nil {
		t.Fatal(err)
	}
	stop := w.run(t.TempDir())
	want := wire.PresenceEvent{Device: device, Serial: w.flash.Serial, Online: true}
	if got := <-seen; got != want {
		t.Errorf("came: %+v", got)
	}
	if took := stop(); took > 30*time.Second {
		t.Errorf("the stop took %v", took)
	}
	want.Online = false
	if got := <-seen; got != want {
		t.Errorf("went: %+v", got)
	}
}

// The backend does not answer while the router restarts: every row that was not acknowledged comes again, with the same
// number and time.
func TestRowsThatWereNotAcknowledgedAreSentAgainAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t.TempDir())
	w.table.await(t, atLeast(1))
	acknowledged := w.table.set(true, nil) // from now on rows arrive, and nobody is told
	unacknowledged := w.table.await(t, atLeast(acknowledged+1))[acknowledged:]
	w.stop()
	w.log.await(t, "not joined; the agent keeps trying")
	w.table.set(false, nil)
	w.start()
	rows := w.table.await(t, func(rows []stored) bool {
		return len(rows) > 0 && rows[len(rows)-1].seq > unacknowledged[len(unacknowledged)-1].seq+3
	})
	for _, u := range unacknowledged {
		times := 0
		for _, r := range rows {
			if r.seq == u.seq && r.tsp == u.tsp {
				times++
			}
		}
		if times < 2 {
			t.Errorf("row %d@%d was sent %d times: %s", u.seq, u.tsp, times, describe(rows))
		}
	}
	numbers := map[uint64]bool{}
	for _, r := range rows {
		numbers[r.seq] = true
	}
	for n := rows[0].seq; n <= rows[len(rows)-1].seq; n++ {
		if !numbers[n] {
			t.Errorf("row %d is lost: %s", n, describe(rows))
		}
	}
}

func TestARowThatTheBackendCannotTakeNowIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refused := make(chan uint64, 1)
	var once sync.Once
	w.table.set(false, func(s wire.Submission) (err error) {
		once.Do(func() {
			refused <- toUint(s.Kwargs["seq"])
			err = errBusy
		})
		return err
	})
	w.run(t.TempDir())
	seq := <-refused
	w.table.await(t, func(rows []stored) bool {
		return slices.ContainsFunc(rows, func(r stored) bool { return r.seq == seq })
	})
}

func TestARowThatIsInvalidIsCountedAndDoesNotBlockTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refused := make(chan uint64, 1)
	var once sync.Once
	w.table.set(false, func(s wire.Submission) (err error) {
		once.Do(func() {
			refused <- toUint(s.Kwargs["seq"])
			err = errs.E(wire.Invalid, "cpu_percent: not a number")
		})
		return err
	})
	w.run(t.TempDir())
	seq := <-refused
	rows := w.table.await(t, atLeast(3))
	if slices.ContainsFunc(rows, func(r stored) bool { return r.seq == seq }) {
		t.Errorf("the refused row came again: %s", describe(rows))
	}
	if info := call[wire.AgentInfo](t, w.session(dataRealm), function(wire.FunctionInfo)); info.Realms[0].Refused != 1 {
		t.Errorf("info is %+v", info)
	}
}

func TestANewAssignmentIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	w.run(dir)
	w.table.await(t, atLeast(1))
	second := realms.OfInstallation(project, app, wire.Dev)
	w.apply(func(e *realms.Editor) { e.PutRealm(realms.Entry{Realm: second}) })
	w.mu.Lock()
	w.assignments = []wire.Assignment{{Realm: second.Name(), Project: project, App: app, Stage: wire.Dev}}
	w.mu.Unlock()
	change := wire.AssignmentsChanged(device)
	if err := wampx.Publish(t.Context(), w.session(deviceRealm), change, wire.AssignmentsChange{Reason: "test"}, wampx.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	call[wire.AgentPong](t, w.session(second), wire.DeviceFunction(project, device, app, wire.Dev, wire.FunctionPing))
	info := call[wire.AgentInfo](t, w.session(deviceRealm), wire.AgentFunction(project, device, wire.FunctionInfo))
	if len(info.Realms) != 1 || info.Realms[0].Realm != second.Name() {
		t.Errorf("serves %+v", info.Realms)
	}
	d, err := os.ReadFile(filepath.Join(dir, "memory.json"))
	if err != nil || !strings.Contains(string(d), second.Name()) || strings.Contains(string(d), dataRealm.Name()) {
		t.Errorf("remembers %s, %v", d, err)
	}
}

func TestADeviceServesWhatItRemembersWhileTheBackendIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	stop := w.run(dir)
	w.table.await(t, atLeast(1))
	stop()
	w.apply(func(e *realms.Editor) { e.DeleteRealm(deviceRealm) }) // with the backend's sessions in it
	before := len(w.table.await(t, atLeast(1)))
	w.run(dir)
	w.table.await(t, atLeast(before+2))
	if info := call[wire.AgentInfo](t, w.session(dataRealm), function(wire.FunctionInfo)); info.Boot != 2 {
		t.Errorf("info is %+v", info)
	}
}

func TestADeviceWaitsForARealmThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(func(e *realms.Editor) { e.DeleteRealm(dataRealm) })
	w.run(t.TempDir())
	w.log.await(t, "the realm is not there yet")
	w.apply(func(e *realms.Editor) { e.PutRealm(realms.Entry{Realm: dataRealm}) })
	rows := w.table.await(t, atLeast(2))
	if rows[1].seq != rows[0].seq+1 {
		t.Errorf("rows from the wait are missing: %s", describe(rows))
	}
}

func TestARevokedDeviceSaysSoOnceAndTellsNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t.TempDir())
	w.table.await(t, atLeast(1))
	w.apply(func(e *realms.Editor) { e.DeleteDevice(w.flash.Serial) })
	const sentence = "the router does not accept this device"
	w.log.await(t, sentence)
	w.apply(func(e *realms.Editor) {
		e.PutDevice(realms.Device{Serial: w.flash.Serial, Key: device, Project: project, Secrets: []secret.Value{secret.FromString(w.flash.Secret)}})
	})
	before := len(w.table.await(t, atLeast(1)))
	w.table.await(t, atLeast(before+1))
	text := w.log.String()
	if n := strings.Count(text, sentence); n > 2 { // once for each of the two realms
		t.Errorf("said %d times", n)
	}
	if strings.Contains(text, w.flash.Secret) {
		t.Error("the secret is in the log")
	}
}

// A middlebox that forgets the connection: bytes stop, the socket stays. The agent notices by itself and comes back.
func TestAHalfOpenConnectionIsNoticedAndReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pings = time.Second
	gate := newGate(t, w.addr)
	w.flash.Router = "wss://" + gate.addr + "/ws-agent"
	w.run(t.TempDir())
	w.table.await(t, atLeast(1))
	gate.freeze()
	w.log.await(t, "the connection to the router is lost")
	before := len(w.table.await(t, atLeast(1)))
	gate.thaw()
	w.table.await(t, atLeast(before+2))
}

func TestTheStatusSaysHowTheAgentStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	stop := w.run(dir)
	w.table.await(t, atLeast(1))
	for joined := 0; joined < 2; {
		s, err := state.ReadStatus(dir)
		if err != nil && errs.KindOf(err) != wire.NotFound {
			t.Fatal(err)
		}
		joined = 0
		for _, r := range s.Realms {
			if r.Joined && s.Running {
				joined++
			}
		}
		if !pauseFor(t, 10*time.Millisecond) {
			t.Fatalf("status is %+v", s)
		}
	}
	stop()
	s, err := state.ReadStatus(dir)
	if err != nil || s.Running || slices.ContainsFunc(s.Realms, func(r state.Realm) bool { return r.Joined }) {
		t.Errorf("after the stop: %+v, %v", s, err)
	}
}

func TestARouterWithAnotherAuthoritysCertificateGetsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newWorld(t)
	w.flash.Router = other.flash.Router
	w.flash.CA = strangersCA(t)
	w.run(t.TempDir())
	w.log.await(t, "certificate is not trusted")
}

// gate is a TCP relay that can stop relaying without closing anything.
type gate struct {
	addr string
	mu   sync.Mutex // guards open
	open chan struct{}
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: l.Addr().String()}
	g.thaw()
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { g.relay(in, target, over) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		close(over)
		wg.Wait()
	})
	return g
}

func (g *gate) relay(in net.Conn, target string, over <-chan struct{}) {
	out, err := net.Dial("tcp", target)
	if err != nil {
		_ = in.Close()
		return
	}
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		wg.Go(func() {
			_, _ = io.Copy(gated{way[1], g, over}, way[0])
			_ = in.Close()
			_ = out.Close()
		})
	}
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-over:
		_ = in.Close()
		_ = out.Close()
		<-ended
	}
}

type gated struct {
	net.Conn
	g    *gate
	over <-chan struct{}
}

func (c gated) Write(p []byte) (int, error) {
	c.g.mu.Lock()
	open := c.g.open
	c.g.mu.Unlock()
	select {
	case <-open:
		return c.Conn.Write(p)
	case <-c.over:
		return 0, net.ErrClosed
	}
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
	close(g.open)
}
