package quota_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/databackend"
	"bulkhead/backend/quota"
	"bulkhead/db/provision"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestAProjectThatIsFullIsRefusedAndItsNeighbourFeelsNothing(t *testing.T) {
	t.Parallel()
	for _, driver := range []databackend.Driver{databackend.DriverDatabase, databackend.DriverSchema} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, driver)
			s.set(plantA, 4*megabyte)
			taken := s.fill(plantA, 400) // it outruns every measurement: there was none yet
			if got := s.count(plantA); got != taken || taken == 0 {
				t.Errorf("%d rows were taken, and %d are stored", taken, got)
			}
			estimate := s.quotas.Use(plantA)
			s.round()
			u := s.quotas.Use(plantA)
			if u.Since != 0 || u.Tables == 0 || u.Tables > u.Quota*5/4 || estimate.Since < u.Tables/2 || estimate.Since > 2*u.Tables {
				t.Errorf("estimated %+v, measured %+v", estimate, u)
			}
			if u.Level != quota.Full && u.Level != quota.AlmostFull && u.Level != quota.High {
				t.Errorf("it is on record as %s", u.Level)
			}
			s.fill(plantA, 400)
			s.round()
			s.full(s.bulk(plantA, 400))

			if err := s.bulk(plantB, 400); err != nil {
				t.Errorf("the neighbour is refused: %v", err)
			}
			if err := s.small(plantB, 8000); err != nil {
				t.Errorf("the neighbour is refused: %v", err)
			}
			estimate = s.quotas.Use(plantB)
			s.round()
			if u := s.quotas.Use(plantB); u.Level != quota.Room || estimate.Used() < u.Tables*2/3 || estimate.Used() > u.Tables*3/2 {
				t.Errorf("the neighbour is estimated as %+v, and measured as %+v", estimate, u)
			}
			s.set(plantA, 40*megabyte)
			if err := s.bulk(plantA, 400); err != nil {
				t.Errorf("refused under a higher quota: %v", err)
			}
			s.round()
			s.set(plantA, 0)
			s.round()
			levels := s.levels(plantA)
			if len(levels) < 2 || !strings.Contains(levels[len(levels)-1], `"room"`) || len(s.levels(plantB)) != 0 {
				t.Errorf("on record: %q, and of the neighbour %q", levels, s.levels(plantB))
			}
		})
	}
}

func TestAQuotaOutlivesARestartWithWhatWasMeasured(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	s.set(plantA, 4*megabyte)
	for range 5 { // what is estimated too high is measured, and the rest filled
		s.fill(plantA, 100)
		s.round()
	}
	s.full(s.bulk(plantA, 400))
	before := s.quotas.Use(plantA)
	s.restart()
	after := s.quotas.Use(plantA)
	if after.Quota != 4*megabyte || !after.Own || after.Tables != before.Tables || after.Level != before.Level || !after.MeasuredAt.Equal(before.MeasuredAt) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	s.full(s.bulk(plantA, 400)) // nothing was measured yet
}

func TestWhatWaitsOnDiskIsCountedAndReachesAFullProject(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	s.set(plantA, 4*megabyte)
	s.writer.set(true)
	taken := s.fill(plantA, 400)
	waiting := s.backends.Waiting(plantA)
	if waiting < megabyte {
		t.Fatalf("%d bytes wait", waiting)
	}
	s.round()
	if u := s.quotas.Use(plantA); u.Disk != waiting || u.Since != 0 {
		t.Errorf("%d bytes wait, counted as %+v", waiting, u)
	}
	s.set(plantA, 1) // an answer that was given is kept
	s.writer.set(false)
	if err := s.ingest.Flush(t.Context(), realm(plantA).Name()); err != nil {
		t.Fatal(err)
	}
	if got := s.count(plantA); got != taken {
		t.Errorf("%d rows were taken, and %d are stored", taken, got)
	}
	s.full(s.one(plantA))
}

func TestWhatRetentionDropsIsFreeWithTheNextMeasurement(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverSchema)
	s.set(plantA, 4*megabyte)
	s.fill(plantA, 400)
	s.round()
	s.Pass(40 * 24 * time.Hour)
	if err := s.prov.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.round()
	if u := s.quotas.Use(plantA); u.Used() > megabyte || u.Level != quota.Room {
		t.Errorf("after retention %+v", u)
	}
	if err := s.bulk(plantA, 400); err != nil {
		t.Error(err)
	}
}

func TestWhatIsUninstalledIsFreeWithTheNextRound(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	s.set(plantA, 4*megabyte)
	s.fill(plantA, 400)
	s.round()
	if err := s.ingest.Forget(realm(plantA).Name()); err != nil {
		t.Fatal(err)
	}
	if err := s.prov.Deprovision(t.Context(), realm(plantA)); err != nil {
		t.Fatal(err)
	}
	s.round()
	if u := s.quotas.Use(plantA); u.Used() != 0 || u.Level != quota.Room {
		t.Errorf("after uninstalling %+v", u)
	}
}

// An export is kept on the server's disk, where it would be a way around the quota.
func TestExportsCountUntilTheyAreDeleted(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	s.set(plantA, 4*megabyte)
	dir := filepath.Join(s.backends.Exports, realm(plantA).Name()+"-20260304T120000Z")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{"notes.csv": 3 * megabyte, "more.csv": megabyte} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.backends.Exports, "somebody's"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.round()
	s.full(s.one(plantA))
	if u := s.quotas.Use(plantA); u.Disk != 4*megabyte || s.quotas.Use(plantB).Disk != 0 {
		t.Errorf("counted as %+v", u)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s.round()
	if err := s.one(plantA); err != nil {
		t.Error(err)
	}
}

func TestWhereNothingCanBeMeasuredWhatIsKnownAndWhatCameSinceCount(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	s.set(plantA, 4*megabyte)
	s.tables.fail(errBeyondReach)
	if err := s.bulk(plantA, 400); err != nil {
		t.Errorf("a project that was never measured is refused: %v", err)
	}
	if err := s.quotas.Round(t.Context()); err == nil || s.quotas.Failures() == 0 {
		t.Errorf("a round that measured nothing: %v, %d failures", err, s.quotas.Failures())
	}
	if u := s.quotas.Use(plantA); u.Since == 0 || !u.MeasuredAt.IsZero() {
		t.Errorf("counted as %+v", u)
	}
	taken := s.fill(plantA, 400)
	if err := s.quotas.Round(t.Context()); err == nil {
		t.Error("a round that measured nothing succeeded")
	}
	s.full(s.bulk(plantA, 400))
	if levels := s.levels(plantA); len(levels) == 0 || !strings.Contains(levels[0], `"full"`) {
		t.Errorf("after %d rows on record: %q", taken, levels)
	}
	s.tables.fail(nil)
	s.round()
	if u := s.quotas.Use(plantA); u.Since != 0 || u.Tables == 0 {
		t.Errorf("measured %+v", u)
	}
}

func TestOnlyWhatHasChangedIsMeasuredAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	s.round()
	if n := s.tables.measured(); n != 2 {
		t.Errorf("%d databases were measured first", n)
	}
	s.round()
	if n := s.tables.measured(); n != 0 {
		t.Errorf("%d databases were measured that had not changed", n)
	}
	for range 5 {
		if err := s.bulk(plantB, 400); err != nil {
			t.Fatal(err)
		}
	}
	s.round()
	if n := s.tables.measured(); n != 1 {
		t.Errorf("%d databases were measured where one had changed", n)
	}
	s.restart() // what was measured is known
	s.round()
	if n := s.tables.measured(); n != 0 {
		t.Errorf("%d databases were measured after a restart", n)
	}
	s.Pass(20 * time.Minute)
	s.round()
	if n := s.tables.measured(); n != 2 {
		t.Errorf("%d databases were measured when it was long ago", n)
	}
}

// Who writes by a login is not asked before each row: the login loses the right to.
func TestALoginOfAFullProjectReadsAndAddsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	insert := func(c provision.Credentials) error {
		return s.asLogin(c, `INSERT INTO notes (tsp, device_key, authid, seq, text) SELECT now(), 7, 'x', nextval, repeat('x', 1000) FROM generate_series(1, 500) AS nextval`)
	}
	login := func() provision.Credentials {
		c, err := s.prov.Credentials(t.Context(), realm(plantA))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := login()
	s.set(plantA, megabyte)
	if err := insert(first); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the table is measured, and what it has reaches the quota
		s.exec(first.Database, `INSERT INTO `+first.Schema+`.notes (tsp, device_key, authid, seq, text) SELECT now(), 8, 'x', n, repeat('x', 1000) FROM generate_series(1, 500) n`)
	}
	s.round()
	if err := insert(first); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a login of a full project adds rows: %v", err)
	}
	if err := s.asLogin(first, `SELECT count(*) FROM notes`); err != nil {
		t.Errorf("a login of a full project cannot read: %v", err)
	}
	second, err := s.prov.Rotate(t.Context(), realm(plantA))
	if err != nil {
		t.Fatal(err)
	}
	if err := insert(second); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a new login of a full project adds rows: %v", err)
	}
	s.set(plantA, 40*megabyte)
	s.round()
	for _, c := range []provision.Credentials{first, second} {
		if err := s.asLogin(c, `INSERT INTO notes (tsp, device_key, authid, seq, text) SELECT now(), $1, 'x', 1, ''`, int64(len(c.RW.Role))+time.Now().UnixNano()); err != nil {
			t.Errorf("under a higher quota: %v", err)
		}
	}
}

// Many projects, each within its quota, or logins before they are measured, can fill what the server itself needs.
func TestADiskThatIsAlmostFullIsLeftToTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	login, err := s.prov.Credentials(t.Context(), realm(plantA))
	if err != nil {
		t.Fatal(err)
	}
	const insert = `INSERT INTO notes (tsp, device_key, authid, seq, text) SELECT now(), 7, 'x', extract(epoch FROM clock_timestamp()) * 1e6, ''`
	works := func(when string) {
		t.Helper()
		if err := s.one(plantA); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if err := s.asLogin(login, insert); err != nil {
			t.Errorf("%s, by a login: %v", when, err)
		}
	}
	refused := func(when string) {
		t.Helper()
		for _, project := range []wire.Key{plantA, plantB} {
			if err := s.one(project); errs.KindOf(err) != wire.Unavailable || !strings.Contains(errs.UserText(err), "disk") {
				t.Errorf("%s: %v", when, err)
			}
		}
		if err := s.asLogin(login, insert); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s, by a login: %v", when, err)
		}
	}
	s.leave(200 * megabyte)
	s.round()
	works("with enough")
	rows := s.count(plantA)
	s.leave(99 * megabyte)
	s.round()
	refused("with too little")
	s.leave(110 * megabyte)
	s.leave(-1)
	s.round()
	refused("with hardly more, and then with nobody knows what")
	if err := s.asLogin(login, `SELECT count(*) FROM notes`); err != nil || s.count(plantA) != rows {
		t.Errorf("what is there cannot be read: %v", err)
	}
	s.set(plantB, megabyte) // what people do is still put on record
	s.leave(200 * megabyte)
	s.round()
	works("with room again")
}

// Quotas together may be more than the disk has. Who is within its quota then must not take what the others need.
func TestAProjectWithinItsQuotaLeavesTheOthersTheirShares(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverDatabase)
	const insert = `INSERT INTO notes (tsp, device_key, authid, seq, text) SELECT now(), 7, 'x', extract(epoch FROM clock_timestamp()) * 1e6, ''`
	logins := map[wire.Key]provision.Credentials{}
	for _, project := range []wire.Key{plantA, plantB} {
		c, err := s.prov.Credentials(t.Context(), realm(project))
		if err != nil {
			t.Fatal(err)
		}
		logins[project] = c
	}
	s.round()
	const mine = 12 * megabyte
	s.of(125*megabyte + mine)
	if left := s.quotas.Left(); left.Over() < 180*megabyte || left.Tight {
		t.Errorf("who owns the server sees %+v", left)
	}
	fill := func(project wire.Key) (err error) {
		for s.quotas.Use(project).Used() < mine && err == nil {
			s.quotas.Look(t.Context())
			err = s.bulk(project, 400)
		}
		return err
	}
	if err := fill(plantA); errs.KindOf(err) != wire.Unavailable || s.quotas.Use(plantA).Used() < mine/2 {
		t.Fatalf("one that takes what is there has %+v: %v", s.quotas.Use(plantA), err)
	}
	if left := s.quotas.Left(); left.Short || !left.Tight {
		t.Fatalf("it left %+v", left)
	}
	s.round()
	if err := s.asLogin(logins[plantA], insert); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("by a login it goes on: %v", err)
	}
	if err := s.quotas.Spare(plantA); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("recordings and exports of it go on: %v", err)
	}
	for s.quotas.Use(plantB).Used() < mine/5 { // of a quarter
		s.quotas.Look(t.Context())
		if err := errors.Join(s.bulk(plantB, 400), s.asLogin(logins[plantB], insert), s.quotas.Spare(plantB)); err != nil {
			t.Fatalf("a neighbour that has %d: %v", s.quotas.Use(plantB).Used(), err)
		}
	}
	if err := fill(plantB); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("beyond its share the neighbour goes on: %v", err)
	}
	s.of(500 * megabyte)
	s.round()
	if err := errors.Join(s.one(plantA), s.one(plantB), s.asLogin(logins[plantA], insert)); err != nil || s.quotas.Left().Over() != 0 {
		t.Errorf("with room for all quotas, %+v: %v", s.quotas.Left(), err)
	}
}

func TestAQuotaThatIsNoneIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, databackend.DriverSchema)
	for _, bytes := range []int64{-1, quota.Most + 1} {
		if _, err := s.quotas.Set(t.Context(), audit.Server, plantA, &bytes); errs.KindOf(err) != wire.Invalid {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
	some := megabyte
	if _, err := s.quotas.Set(t.Context(), audit.Server, 77, &some); errs.KindOf(err) != wire.NotFound {
		t.Errorf("of no project: %v", err)
	}
	if u := s.quotas.Use(plantA); u.Own || u.Quota != 100*megabyte {
		t.Errorf("it has %+v", u)
	}
}
