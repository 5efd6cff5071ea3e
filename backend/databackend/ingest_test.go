package databackend_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// scripted is a database that does what a test says: rows by installation, in the order in which they were stored.
type scripted struct {
	mu      sync.Mutex // guards what follows
	stored  map[string][]databackend.Record
	fail    func(p databackend.Placement, records []databackend.Record) error
	calls   int
	block   chan struct{} // not nil: writes wait for it, or for their context
	entered chan struct{} // not nil: gets a token for each write that waits
}

func (w *scripted) Write(ctx context.Context, p databackend.Placement, t databackend.Table, records []databackend.Record) error {
	w.mu.Lock()
	block, entered, fail := w.block, w.entered, w.fail
	w.calls++
	w.mu.Unlock()
	if entered != nil {
		entered <- struct{}{}
	}
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(p, records); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stored == nil {
		w.stored = map[string][]databackend.Record{}
	}
	key := p.Schema + "." + t.Name
	for _, r := range records {
		same := func(o databackend.Record) bool {
			return o.Device == r.Device && o.Seq == r.Seq && cmp.Equal(o.Values[0], r.Values[0])
		}
		if !slices.ContainsFunc(w.stored[key], same) {
			w.stored[key] = append(w.stored[key], r)
		}
	}
	return nil
}

func (w *scripted) set(fail func(databackend.Placement, []databackend.Record) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = fail
}

// numbers gives the column n of what is stored.
func (w *scripted) numbers(key string) []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []int64
	for _, r := range w.stored[key] {
		all = append(all, r.Values[1].(int64))
	}
	return all
}

var errDown = errors.New("the database is down")

func down(databackend.Placement, []databackend.Record) error { return errDown }

// server is an ingest with one installation, realm-1-2-prod in schema p_x, unless a test puts more.
type server struct {
	*databackend.Ingest
	config databackend.Config
}

func newServer(t testing.TB, w databackend.Writer, change ...func(*databackend.Config)) *server {
	t.Helper()
	c := databackend.Config{Dir: t.TempDir(), Writer: w, Log: slog.New(slog.DiscardHandler), Limits: databackend.Limits{BatchDelay: time.Millisecond, MinFree: 1}}
	for _, f := range change {
		f(&c)
	}
	s := &server{config: c}
	s.start(t)
	t.Cleanup(func() { s.Stop() })
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	in, err := databackend.NewIngest(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.Ingest = in
	s.put(t, "realm-1-2-prod", 1, "p_x")
}

func (s *server) restart(t testing.TB) {
	s.Stop()
	s.start(t)
}

func (s *server) put(t testing.TB, realm string, project wire.Key, schema string) {
	t.Helper()
	template, err := databackend.ParseTemplate("t.yaml", []byte(rowTemplate))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(databackend.Installation{Realm: realm, Project: project, Template: template, Placement: databackend.Placement{Realm: realm, Schema: schema}}); err != nil {
		t.Fatal(err)
	}
}

func number(n int) wire.Submission {
	return wire.Submission{Realm: "realm-1-2-prod", Table: "plain", Device: 5, AuthID: "dev-5", Args: []any{map[string]any{"n": uint64(n)}}}
}

func numbers(from, to int) wire.Submission {
	var rows []any
	for n := from; n <= to; n++ {
		rows = append(rows, map[string]any{"n": uint64(n)})
	}
	s := number(0)
	s.Bulk, s.Args = true, []any{rows}
	return s
}

func mustAppend(t testing.TB, s *server, sub wire.Submission, how databackend.Durable) {
	t.Helper()
	got, err := s.Append(t.Context(), sub)
	if err != nil || got.Durable != string(how) || !got.Success {
		t.Fatalf("got %+v, %v, want %s", got, err, how)
	}
}

func mustFlush(t testing.TB, s *server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Flush(ctx, "realm-1-2-prod"); err != nil {
		t.Fatal(err)
	}
}

func ascending(from, to int64) (all []int64) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

func TestAnAppendAnswersOnceTheRowIsCommitted(t *testing.T) {
	t.Parallel()
	w := &scripted{}
	s := newServer(t, w)
	mustAppend(t, s, number(1), databackend.Committed)
	got, err := s.Append(t.Context(), numbers(2, 4))
	if diff := cmp.Diff(wire.AppendReply{Success: true, Count: 3, Durable: "committed"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff(ascending(1, 4), w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
}

func TestRowsWaitOnDiskWhileTheDatabaseIsDownAndReachItInOrder(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: down}
	var mu sync.Mutex
	var told []int64
	s := newServer(t, w, func(c *databackend.Config) {
		c.OnStored = func(st databackend.Stored) {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range st.Records {
				told = append(told, r.Values[1].(int64))
			}
		}
	})
	for n := 1; n <= 50; n++ {
		mustAppend(t, s, number(n), databackend.Spilled)
	}
	if state := s.Stats()[0]; state.State != databackend.Behind || state.Spilled != 50 || state.Stored != 0 {
		t.Errorf("stats %+v", state)
	}
	w.set(nil)
	mustFlush(t, s)
	mustAppend(t, s, number(51), databackend.Committed)
	if diff := cmp.Diff(ascending(1, 51), w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
	mustFlush(t, s)
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(ascending(1, 51), told); diff != "" {
		t.Errorf("subscribers are told in another order: %s", diff)
	}
	if state := s.Stats()[0]; state.State != databackend.Flowing || state.SpillBytes != 0 {
		t.Errorf("stats %+v", state)
	}
}

func TestARowDoesNotOvertakeThoseThatWaitOnDisk(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: down}
	s := newServer(t, w)
	mustAppend(t, s, number(1), databackend.Spilled)
	block, entered := make(chan struct{}), make(chan struct{}, 10)
	w.mu.Lock()
	w.fail, w.block, w.entered = nil, block, entered
	w.mu.Unlock()
	<-entered // the first row is on its way, and the database is up
	mustAppend(t, s, number(2), databackend.Spilled)
	if len(entered) > 0 {
		t.Error("the second row is on its way beside the first")
	}
	close(block)
	mustFlush(t, s)
	if diff := cmp.Diff(ascending(1, 2), w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
}

func TestABatchThatTakesTheDatabaseTooLongIsStoredInParts(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: down}
	s := newServer(t, w)
	for n := 1; n <= 40; n++ {
		mustAppend(t, s, number(n), databackend.Spilled)
	}
	w.set(func(_ databackend.Placement, records []databackend.Record) error {
		if len(records) > 3 {
			return context.DeadlineExceeded
		}
		return nil
	})
	mustFlush(t, s)
	if diff := cmp.Diff(ascending(1, 40), w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasAnsweredForSurvivesARestart(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: down}
	s := newServer(t, w)
	for n := 1; n <= 20; n++ {
		mustAppend(t, s, number(n), databackend.Spilled)
		if n%7 == 0 {
			s.restart(t)
		}
	}
	w.set(nil)
	mustFlush(t, s)
	if diff := cmp.Diff(ascending(1, 20), w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
}

func TestStopStoresWhatWasAccepted(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(databackend.Placement, []databackend.Record) error{"database up": nil, "database down": down} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &scripted{fail: fail}
			s := newServer(t, w, func(c *databackend.Config) { c.Limits.BatchDelay = time.Hour })
			answers := make(chan error, 100)
			for n := 1; n <= 100; n++ {
				s.Accept(number(n), func(err error) { answers <- err })
			}
			s.Stop()
			for range 100 {
				if err := <-answers; err != nil {
					t.Error(err)
				}
			}
			s.Accept(number(101), func(err error) { answers <- err })
			if err := <-answers; errs.KindOf(err) != wire.Unavailable {
				t.Errorf("after Stop: %v", err)
			}
			w.set(nil)
			s.start(t)
			mustFlush(t, s)
			if diff := cmp.Diff(ascending(1, 100), w.numbers("p_x.plain")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// refusing refuses rows with some numbers.
func refusing(bad ...int64) func(databackend.Placement, []databackend.Record) error {
	return func(_ databackend.Placement, records []databackend.Record) error {
		for _, r := range records {
			if slices.Contains(bad, r.Values[1].(int64)) {
				return &databackend.WriteFault{Kind: databackend.RowFault, Reason: "does not fit", Err: errors.New("22003")}
			}
		}
		return nil
	}
}

func TestABadRowIsFoundAmongManyAndThoseBesideItAreStored(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: refusing(13, 77, 78)}
	s := newServer(t, w, func(c *databackend.Config) { c.Limits.BatchDelay = time.Hour; c.Limits.BatchRows = 100 })
	refused := make(chan error, 100)
	for n := 1; n <= 100; n++ {
		s.Accept(number(n), func(err error) { refused <- err })
	}
	var bad int
	for range 100 {
		if err := <-refused; err != nil {
			bad++
			if errs.URIOf(err) != wire.ErrInvalidRow || errs.UserText(err) != "does not fit" {
				t.Errorf("got %v", err)
			}
		}
	}
	want := slices.DeleteFunc(ascending(1, 100), func(n int64) bool { return n == 13 || n == 77 || n == 78 })
	if diff := cmp.Diff(want, w.numbers("p_x.plain")); diff != "" || bad != 3 {
		t.Errorf("%d refused; %s", bad, diff)
	}
	if w.calls > 60 {
		t.Errorf("it took %d writes to find 3 rows of 100", w.calls)
	}
	reply, err := s.Refused("realm-1-2-prod", "plain", 10, 0)
	if err != nil || reply.Total != 3 || len(reply.Errors) != 3 || reply.Errors[0].Device != 5 || reply.Errors[0].Reason != "does not fit" {
		t.Errorf("listed %+v, %v", reply, err)
	}
}

func TestABulkWithARowThatTheDatabaseRefusesIsRefusedWhole(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: refusing(5)}
	s := newServer(t, w, func(c *databackend.Config) { c.Limits.BatchDelay = 20 * time.Millisecond })
	answers := make(chan error, 3)
	for _, sub := range []wire.Submission{numbers(1, 3), numbers(4, 6), numbers(7, 9)} {
		s.Accept(sub, func(err error) { answers <- err })
	}
	var refused int
	for range 3 {
		if err := <-answers; err != nil {
			refused++
		}
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 7, 8, 9}, w.numbers("p_x.plain")); diff != "" || refused != 1 {
		t.Errorf("%d refused; %s", refused, diff)
	}
}

func TestARowThatWasAnsweredForAndDoesNotFitIsSetAsideAndListed(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: down}
	s := newServer(t, w)
	for n := 1; n <= 5; n++ {
		mustAppend(t, s, number(n), databackend.Spilled)
	}
	w.set(refusing(3))
	mustFlush(t, s)
	if diff := cmp.Diff([]int64{1, 2, 4, 5}, w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
	reply, err := s.Refused("realm-1-2-prod", "plain", 10, 0)
	if err != nil || reply.Total != 1 {
		t.Errorf("listed %+v, %v", reply, err)
	}
	if n := len(filesUnder(t, s.config.Dir, ".aside")); n != 1 {
		t.Errorf("%d files set aside", n)
	}
}

func TestATroubledInstallationStopsNobodyElse(t *testing.T) {
	t.Parallel()
	logged := &logLines{}
	w := &scripted{fail: func(p databackend.Placement, _ []databackend.Record) error {
		if p.Schema == "p_x" {
			return &databackend.WriteFault{Kind: databackend.RightFault, Reason: "no right", Err: errors.New("42501")}
		}
		return nil
	}}
	s := newServer(t, w, func(c *databackend.Config) { c.Log = slog.New(logged) })
	s.put(t, "realm-3-4-prod", 3, "p_y")
	mustAppend(t, s, number(1), databackend.Spilled)
	mustAppend(t, s, number(2), databackend.Spilled)
	other := number(3)
	other.Realm = "realm-3-4-prod"
	mustAppend(t, s, other, databackend.Committed)
	states := map[string]databackend.State{}
	for _, st := range s.Stats() {
		states[st.Realm] = st.State
	}
	if diff := cmp.Diff(map[string]databackend.State{"realm-1-2-prod": databackend.Stopped, "realm-3-4-prod": databackend.Flowing}, states); diff != "" {
		t.Error(diff)
	}
	if n := logged.count(slog.LevelError, "refuses our role"); n != 1 {
		t.Errorf("%d alarms", n)
	}
}

func TestOneInstallationsFloodLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	w := &scripted{}
	s := newServer(t, w, func(c *databackend.Config) { c.Limits.QueueRows = 100; c.Limits.WriteTimeout = time.Hour })
	s.put(t, "realm-3-4-prod", 3, "p_y")
	w.mu.Lock()
	w.block = block
	w.mu.Unlock()
	refused, answered := 0, make(chan error, 1000)
	for n := range 1000 {
		s.Accept(number(n), func(err error) { answered <- err })
	}
	for len(answered) > 0 {
		if err := <-answered; errs.URIOf(err) == wire.ErrRateLimited {
			refused++
		}
	}
	if refused < 700 {
		t.Errorf("%d of 1000 refused by a queue of 100", refused)
	}
	w.mu.Lock()
	w.block = nil
	w.mu.Unlock()
	other := number(3)
	other.Realm = "realm-3-4-prod"
	mustAppend(t, s, other, databackend.Committed)
	close(block)
}

func TestADatabaseThatHoldsUpAFullQueueIsLeftForTheDisk(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	defer close(block)
	w := &scripted{block: block}
	s := newServer(t, w, func(c *databackend.Config) {
		c.Limits.QueueRows, c.Limits.BatchRows, c.Limits.WriteTimeout = 100, 10, time.Second
	})
	answers := make(chan databackend.Durable, 200)
	for n := range 90 {
		s.Submit(number(n), func(how databackend.Durable, _ error) { answers <- how })
	}
	for range 90 {
		if how := <-answers; how != databackend.Spilled {
			t.Fatalf("answered %q", how)
		}
	}
}

func TestAFullSpillAnswersStorageFullAndTakesRowsAgainLater(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: down}
	s := newServer(t, w, func(c *databackend.Config) { c.Limits.SpillBytes = 2000 })
	var err error
	kept := 0
	for n := 1; n < 1000 && err == nil; n++ {
		if _, err = s.Append(t.Context(), number(n)); err == nil {
			kept = n
		}
	}
	if errs.URIOf(err) != wire.ErrStorageFull || !strings.Contains(errs.UserText(err), "try again in") || kept < 5 {
		t.Fatalf("after %d rows: %v", kept, err)
	}
	reply, _ := s.Refused("realm-1-2-prod", "plain", 10, 0)
	if reply.Total != 1 || reply.Errors[0].Code != wire.ErrStorageFull || reply.Errors[0].Device != 5 {
		t.Errorf("what was lost is not listed: %+v", reply)
	}
	w.set(nil)
	mustFlush(t, s)
	mustAppend(t, s, number(5000), databackend.Committed)
	if diff := cmp.Diff(append(ascending(1, int64(kept)), 5000), w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
}

func TestAPublisherIsLimitedWithoutLimitingOthers(t *testing.T) {
	t.Parallel()
	s := newServer(t, &scripted{}, func(c *databackend.Config) {
		c.Limits.Each = databackend.Rate{PerSecond: 0.001, Burst: 5}
		c.Limits.All = databackend.Rate{PerSecond: 0.001, Burst: 8}
	})
	results := func(authid string, n int) (refused int) {
		for i := range n {
			sub := number(i)
			sub.AuthID = authid
			if _, err := s.Append(t.Context(), sub); errs.URIOf(err) == wire.ErrRateLimited {
				refused++
			}
		}
		return refused
	}
	if got := []int{results("a", 7), results("b", 3), results("c", 1)}; !cmp.Equal(got, []int{2, 0, 1}) {
		t.Errorf("refused %v", got)
	}
}

func TestUnknownTablesAndRealmsAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, &scripted{})
	sub := number(1)
	sub.Table = "nowhere"
	if _, err := s.Append(t.Context(), sub); errs.URIOf(err) != wire.ErrNoSuchTable {
		t.Errorf("table: %v", err)
	}
	sub.Realm = "realm-9-9-prod"
	if _, err := s.Append(t.Context(), sub); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("realm: %v", err)
	}
	if _, err := s.Refused("realm-1-2-prod", "nowhere", 1, 0); errs.URIOf(err) != wire.ErrNoSuchTable {
		t.Errorf("refused: %v", err)
	}
}

func TestOnlyTheNewestThousandRefusalsAreListed(t *testing.T) {
	t.Parallel()
	s := newServer(t, &scripted{})
	for i := range 1100 {
		sub := number(0)
		sub.Device, sub.Args = wire.Key(i+1), []any{map[string]any{"n": "x"}}
		s.Accept(sub, func(error) {})
	}
	reply, err := s.Refused("realm-1-2-prod", "plain", 1000, 0)
	if err != nil || reply.Total != 1100 || len(reply.Errors) != 1000 || reply.Errors[0].Device != 1100 || reply.Errors[999].Device != 101 {
		t.Errorf("%d of %d, from %d to %d, %v", len(reply.Errors), reply.Total, reply.Errors[0].Device, reply.Errors[len(reply.Errors)-1].Device, err)
	}
}

func TestADevicesRefusalsAreCountedApart(t *testing.T) {
	t.Parallel()
	s := newServer(t, &scripted{})
	for i := range 1100 {
		sub := number(0)
		sub.Device, sub.Args = wire.Key(1+i%2), []any{map[string]any{"n": "x"}}
		s.Accept(sub, func(error) {})
	}
	for device, want := range map[wire.Key]struct{ total, listed int }{0: {1100, 1000}, 1: {550, 500}, 3: {0, 0}} {
		reply, err := s.Refused("realm-1-2-prod", "plain", 1000, device)
		if err != nil || int(reply.Total) != want.total || len(reply.Errors) != want.listed {
			t.Errorf("device %d: %d of %d, %v", device, len(reply.Errors), reply.Total, err)
		}
		for _, e := range reply.Errors {
			if device != 0 && e.Device != device {
				t.Fatalf("device %d is shown what device %d published", device, e.Device)
			}
		}
	}
}

func TestRowsThatWaitedMeetANewTemplate(t *testing.T) {
	t.Parallel()
	w := &scripted{fail: down}
	s := newServer(t, w)
	mustAppend(t, s, number(1), databackend.Spilled)
	changed := func(columns string) databackend.Installation {
		template, err := databackend.ParseTemplate("t.yaml", []byte("data: {tables: [{tablename: plain, columns: ["+columns+"]}]}"))
		if err != nil {
			t.Fatal(err)
		}
		return databackend.Installation{Realm: "realm-1-2-prod", Project: 1, Template: template, Placement: databackend.Placement{Schema: "p_x"}}
	}
	if err := s.Put(changed("{id: tsp, dataType: timestamp}, {id: n, dataType: bigint}, {id: more, dataType: string}")); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, number(2), databackend.Spilled)
	w.set(nil)
	mustFlush(t, s)
	w.mu.Lock()
	for _, r := range w.stored["p_x.plain"] {
		if len(r.Values) != 3 || r.Values[2] != nil {
			t.Errorf("stored %v", r.Values)
		}
	}
	w.mu.Unlock()
	if diff := cmp.Diff(ascending(1, 2), w.numbers("p_x.plain")); diff != "" {
		t.Error(diff)
	}
}

func TestAnInstallationThatIsDroppedForGoodLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, &scripted{fail: down})
	mustAppend(t, s, number(1), databackend.Spilled)
	if n := len(filesUnder(t, s.config.Dir, ".seg")); n != 1 {
		t.Fatalf("%d segments", n)
	}
	s.Drop("realm-1-2-prod")
	s.put(t, "realm-1-2-prod", 1, "p_x")
	if n := len(filesUnder(t, s.config.Dir, ".seg")); n != 1 {
		t.Errorf("%d segments after it was served again", n)
	}
	if err := s.Forget("realm-1-2-prod"); err != nil {
		t.Fatal(err)
	}
	if n := len(filesUnder(t, s.config.Dir, ".seg")); n != 0 {
		t.Errorf("%d segments are left", n)
	}
	s.put(t, "realm-1-2-prod", 1, "p_x")
	mustAppend(t, s, number(2), databackend.Spilled)
	s.Drop("realm-1-2-prod")
	if err := s.Forget("realm-1-2-prod"); err != nil || len(filesUnder(t, s.config.Dir, ".seg")) != 0 {
		t.Errorf("what an earlier run left is still there, %v", err)
	}
}

func TestASecondServerIsKeptOutOfTheSpill(t *testing.T) {
	t.Parallel()
	s := newServer(t, &scripted{})
	if _, err := databackend.NewIngest(s.config); err == nil || !strings.Contains(errs.UserText(err), "another server uses") {
		t.Errorf("got %v", err)
	}
	s.Stop()
	s.Stop()
	s.start(t)
}

func TestAnAppendThatNobodyWaitsForEnds(t *testing.T) {
	t.Parallel()
	s := newServer(t, &scripted{}, func(c *databackend.Config) { c.Limits.BatchDelay = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Append(ctx, number(1)); errs.KindOf(err) != wire.Canceled {
		t.Errorf("got %v", err)
	}
}
