package databackend

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testColumns = []Column{
	{ID: "tsp", Type: Timestamp}, {ID: "f", Type: Numeric}, {ID: "i", Type: BigInt}, {ID: "s", Type: String},
	{ID: "b", Type: Boolean}, {ID: "j", Type: JSON},
}

var someEntry = rapid.Custom(func(t *rapid.T) entry {
	value := func(of *rapid.Generator[any]) any {
		if rapid.Bool().Draw(t, "null") {
			return nil
		}
		return of.Draw(t, "value")
	}
	record := func() Record {
		return Record{
			Device: 7, AuthID: rapid.String().Draw(t, "authid"), Seq: rapid.Int64().Draw(t, "seq"),
			Values: []any{
				time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "tsp")).UTC(),
				value(rapid.Float64().AsAny()), value(rapid.Int64().AsAny()), value(rapid.String().AsAny()), value(rapid.Bool().AsAny()),
				value(rapid.Map(rapid.String(), func(s string) any { b, _ := json.Marshal(s); return json.RawMessage(b) })),
			},
		}
	}
	e := entry{table: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "table"), columns: testColumns, bulk: rapid.Bool().Draw(t, "bulk")}
	for range rapid.IntRange(1, 3).Draw(t, "rows") {
		e.records = append(e.records, record())
	}
	return e
})

// brokenDisk is a disk that fails when it is told to.
type brokenDisk struct {
	mu   sync.Mutex // guards what follows
	left int64      // bytes until it is full; negative: no limit
	sync error
	cut  error // of Truncate
	note error // of mark
}

type brokenFile struct {
	*os.File
	disk *brokenDisk
}

func (d *brokenDisk) create(file string) (appendFile, error) {
	f, err := osDisk{}.create(file)
	if err != nil {
		return nil, err
	}
	return &brokenFile{f.(*os.File), d}, nil
}

func (d *brokenDisk) free(string) (int64, error) { return 1 << 40, nil }

func (d *brokenDisk) mark(file string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.note != nil {
		return d.note
	}
	return osDisk{}.mark(file)
}

func (d *brokenDisk) set(left int64, syncErr, cut error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.sync, d.cut = left, syncErr, cut
}

func (f *brokenFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if left := f.disk.left; left >= 0 && int64(len(b)) > left {
		f.disk.left = 0
		n, _ := f.File.Write(b[:left])
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	} else if left >= 0 {
		f.disk.left -= int64(len(b))
	}
	return f.File.Write(b)
}

func (f *brokenFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return errors.Join(f.disk.sync, f.File.Sync())
}

func (f *brokenFile) Truncate(n int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.cut != nil {
		return f.disk.cut
	}
	return f.File.Truncate(n)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func mustOpen(t rapid.TB, dir string, d disk, q *quota) *spill {
	s, err := openSpill(dir, d, q, 0, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustRead(t rapid.TB, s *spill, rows int) ([]entry, position) {
	entries, p, err := s.read(rows, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return entries, p
}

func equalEntries(a, b []entry) string {
	if len(a) == 0 && len(b) == 0 {
		return ""
	}
	return cmp.Diff(a, b, cmp.AllowUnexported(entry{}), cmp.Comparer(func(a, b Column) bool { return a.ID == b.ID && a.Type == b.Type }))
}

// A model: what was appended and not committed comes back, in order, through any history of appends, reads, commits,
// crashes with a torn end, full disks and failing syncs.
func TestTheSpillGivesBackWhatItTookInOrderAcrossCrashes(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		disk := &brokenDisk{left: -1}
		q := &quota{limit: 1 << 30}
		s := mustOpen(t, dir, disk, q)
		var kept []entry // appended and not committed
		read := 0        // of kept, by the cursor
		var at position
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				batch := rapid.SliceOfN(someEntry, 1, 4).Draw(t, "batch")
				if err := s.append(batch); err != nil {
					t.Fatal(err)
				}
				kept = append(kept, batch...)
			},
			"append to a failing disk": func(t *rapid.T) {
				batch := rapid.SliceOfN(someEntry, 1, 4).Draw(t, "batch")
				var cut error
				if rapid.Bool().Draw(t, "cannot truncate") {
					cut = syscall.EIO
				}
				if rapid.Bool().Draw(t, "full") {
					disk.set(rapid.Int64Range(0, 20).Draw(t, "left"), nil, cut)
				} else {
					disk.set(-1, syscall.EIO, cut)
				}
				err := s.append(batch)
				disk.set(-1, nil, nil)
				if err == nil {
					t.Fatal("an append to a failing disk was answered for")
				}
			},
			"read": func(t *rapid.T) {
				got, p := mustRead(t, s, rapid.IntRange(1, 6).Draw(t, "rows"))
				if read+len(got) > len(kept) {
					t.Fatalf("read %d entries of %d", read+len(got), len(kept))
				}
				if diff := equalEntries(kept[read:read+len(got)], got); diff != "" {
					t.Fatalf("read other than what was appended: %s", diff)
				}
				if len(got) == 0 && read < len(kept) {
					t.Fatalf("read nothing though %d are left", len(kept)-read)
				}
				read, at = read+len(got), p
			},
			"commit": func(t *rapid.T) {
				if read == 0 {
					t.Skip("nothing read")
				}
				s.commit(at)
				kept, read = kept[read:], 0
			},
			"crash": func(t *rapid.T) {
				s.close()
				tearEnd(t, dir, rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "torn"))
				q = &quota{limit: 1 << 30}
				s, read = mustOpen(t, dir, disk, q), 0
			},
			"": func(t *rapid.T) {
				if s.empty() != (len(kept) == 0) {
					t.Fatalf("empty is %v with %d entries kept", s.empty(), len(kept))
				}
				if q.used != s.size() {
					t.Fatalf("quota counts %d bytes of %d", q.used, s.size())
				}
			},
		})
		s.close()
	})
}

func TestWhereTheDiskRefusesToForgetARefusedRowNothingIsAppendedUntilItDoesNot(t *testing.T) {
	t.Parallel()
	dir, disk := t.TempDir(), &brokenDisk{left: -1, note: syscall.EIO}
	s := mustOpen(t, dir, disk, &quota{limit: 1 << 30})
	if err := s.append([]entry{oneEntry("first")}); err != nil {
		t.Fatal(err)
	}
	disk.set(-1, syscall.EIO, syscall.EIO)
	if err := s.append([]entry{oneEntry("refused")}); err == nil {
		t.Fatal("an append to a failing disk was answered for")
	}
	disk.set(-1, nil, syscall.EIO)
	if err := s.append([]entry{oneEntry("refused too")}); !errors.Is(err, errSpillFull) {
		t.Fatalf("behind a refused row: %v", err)
	}
	disk.note = nil
	if err := s.append([]entry{oneEntry("second")}); err != nil {
		t.Fatal(err)
	}
	s.close()
	s = mustOpen(t, dir, disk, &quota{limit: 1 << 30})
	defer s.close()
	got, p := mustRead(t, s, 10)
	if diff := equalEntries([]entry{oneEntry("first"), oneEntry("second")}, got); diff != "" {
		t.Fatal(diff)
	}
	s.commit(p)
	if left, _ := filepath.Glob(filepath.Join(dir, "*.seg*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAMarkWithoutItsSegmentIsRemovedByTheNextStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := (osDisk{}).mark(endFile(dir, segment{id: 7, size: 99})); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, osDisk{}, &quota{limit: 1 << 30}).close()
	if left, _ := filepath.Glob(filepath.Join(dir, "*.end-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// tearEnd leaves what a crash in the middle of a write leaves.
func tearEnd(t rapid.TB, dir string, garbage []byte) {
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		return
	}
	f, err := os.OpenFile(slices.Max(files), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(garbage); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func oneEntry(text string) entry {
	return entry{table: "a", columns: testColumns, records: []Record{{AuthID: text, Values: make([]any, len(testColumns))}}}
}

func TestASpillOverItsQuotaSaysThatItIsFullAndKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir(), osDisk{}, &quota{limit: 4096})
	defer s.close()
	if err := s.append([]entry{oneEntry("first")}); err != nil {
		t.Fatal(err)
	}
	if err := s.append([]entry{oneEntry(strings.Repeat("x", 5000))}); !errors.Is(err, errSpillFull) {
		t.Fatalf("got %v", err)
	}
	got, p := mustRead(t, s, 10)
	if diff := equalEntries([]entry{oneEntry("first")}, got); diff != "" {
		t.Fatal(diff)
	}
	s.commit(p)
	if err := s.append([]entry{oneEntry(strings.Repeat("x", 3000))}); err != nil {
		t.Errorf("no room after the database caught up: %v", err)
	}
}

func TestASpillLeavesTheDiskWhatOthersNeed(t *testing.T) {
	t.Parallel()
	s, err := openSpill(t.TempDir(), osDisk{}, &quota{limit: 1 << 30}, 1<<60, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.append([]entry{oneEntry("x")}); !errors.Is(err, errSpillFull) {
		t.Fatalf("got %v", err)
	}
	if !s.empty() {
		t.Error("a spill that kept nothing is not empty")
	}
}

func TestASpillOfManySegmentsIsReadInOrderAndRemovedAsItIsCommitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, osDisk{}, &quota{limit: 1 << 30})
	defer func() { s.close() }()
	const n = 40
	for i := range n {
		if err := s.append([]entry{oneEntry(fmt.Sprint(i, strings.Repeat("x", 1<<20)))}); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.seg")); len(files) < 4 {
		t.Fatalf("all in %d segments", len(files))
	}
	for i := range n {
		if i == n/2 { // a restart in the middle
			s.close()
			s = mustOpen(t, dir, osDisk{}, &quota{limit: 1 << 30})
		}
		got, p := mustRead(t, s, 1)
		if len(got) != 1 || !strings.HasPrefix(got[0].records[0].AuthID, fmt.Sprint(i, "x")) {
			t.Fatalf("entry %d is not next: %d read", i, len(got))
		}
		s.commit(p)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.seg")); len(files) != 0 || !s.empty() {
		t.Errorf("%d segments are left", len(files))
	}
}

func TestADamagedSegmentLosesItsRestAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, osDisk{}, &quota{limit: 1 << 30})
	defer s.close()
	for _, text := range []string{"first", "second", "third"} {
		if err := s.append([]entry{oneEntry(text)}); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[strings.Index(string(data), "second")] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	got, p := mustRead(t, s, 10)
	if diff := equalEntries([]entry{oneEntry("first")}, got); diff != "" {
		t.Fatal(diff)
	}
	if err := s.append([]entry{oneEntry("fourth")}); err != nil {
		t.Fatal(err)
	}
	more, p2 := mustRead(t, s, 10)
	if diff := equalEntries([]entry{oneEntry("fourth")}, more); diff != "" {
		t.Fatalf("%s (after %v)", diff, p)
	}
	s.commit(p2)
	if !s.empty() {
		t.Error("not empty after all was stored")
	}
	if _, err := os.Stat(files[0] + ".aside"); err != nil {
		t.Errorf("the damaged segment is not kept: %v", err)
	}
}

func TestSequenceNumbersNeverRepeatAcrossRestartsAndASteppedClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	last := int64(-1 << 63)
	for i := range 5 {
		s, err := openSequence(dir, now.Add(-time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			first := s.take(10)
			if first <= last || first+9 >= 0 {
				t.Fatalf("run %d gives %d after %d", i, first, last)
			}
			last = first + 9
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "seq"), []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSequence(dir, now); err == nil {
		t.Error("a file that cannot be read is taken for none")
	}
}

func FuzzReadSegment(f *testing.F) {
	var data []byte
	add := func(fill func(b []byte) ([]byte, error)) {
		var err error
		if data, err = appendFrame(data, fill); err != nil {
			f.Fatal(err)
		}
	}
	data = append(data, segmentMagic...)
	add(func(b []byte) ([]byte, error) { return appendShape(b, 1, shape{"a", testColumns}), nil })
	add(func(b []byte) ([]byte, error) { return appendEntry(b, 1, oneEntry("x")) })
	f.Add(data, []byte("\x02\x01\x00\x01\x00\x01x\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(data[:len(data)-3], []byte("\x01\x01\x01a\x01\x01b\x06string"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, data, content []byte) {
		c := cursor{shapes: map[uint64]shape{1: {"a", testColumns}}}
		if len(content) > 0 {
			if e, is, err := c.interpret(content); is && err == nil {
				again, err := appendEntry(nil, 1, e)
				if err != nil {
					t.Fatalf("what was read cannot be written: %v", err)
				}
				if back, _, err := c.interpret(again); err != nil || equalEntries([]entry{e}, []entry{back}) != "" && !hasNaN(e) {
					t.Fatalf("reads back as %v, %v", back, err)
				}
			}
		}
		fr, err := newFrames(strings.NewReader(string(data)))
		for err == nil {
			var content []byte
			if content, err = fr.next(); err == nil {
				_, _, _ = c.interpret(content)
			}
		}
		if !errors.Is(err, errTorn) && !errors.Is(err, io.EOF) {
			t.Fatalf("got %v", err)
		}
	})
}

func hasNaN(e entry) bool {
	return slices.ContainsFunc(e.records, func(r Record) bool {
		return slices.ContainsFunc(r.Values, func(v any) bool { f, ok := v.(float64); return ok && f != f })
	})
}
