package databackend

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bulkhead/internal/logkey"
)

const (
	segmentSize = 8 << 20  // a segment is closed once it is as large as this
	asideSuffix = ".aside" // of files that are kept for a person to look at
)

// errSpillFull says that nothing more can be kept: the project's quota or the disk is used up.
var errSpillFull = errors.New("the spill is full")

// quota is how much disk the installations of one project may use together.
type quota struct {
	limit int64
	mu    sync.Mutex // guards used
	used  int64
}

func (q *quota) take(n int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used+n > q.limit {
		return false
	}
	q.used += n
	return true
}

// force counts what is on the disk already.
func (q *quota) force(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used += n
}

func (q *quota) give(n int64) { q.force(-n) }

func (q *quota) taken() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used
}

// appendFile is what the spill needs of a segment that it writes.
type appendFile interface {
	Write(b []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// disk is the part of the file system that can be full or broken; tests break it.
type disk interface {
	create(file string) (appendFile, error)
	mark(file string) error
	free(dir string) (int64, error)
}

type osDisk struct{}

func (osDisk) create(file string) (appendFile, error) {
	return os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

func (osDisk) free(dir string) (int64, error) { return FreeBytes(dir) }

// segment is one file of the spill.
type segment struct {
	id     uint64
	size   int64 // durable bytes
	marked bool  // a mark says that it ends there, whatever the file has behind
}

// position is behind a frame of a segment.
type position struct {
	segment uint64
	offset  int64
}

// spill keeps entries on disk until the database has them: written by one goroutine, read by one other.
type spill struct {
	dir     string
	disk    disk
	quota   *quota
	minFree int64
	log     *slog.Logger
	wake    chan struct{} // has a token after an append

	mu        sync.Mutex // guards what follows
	segments  []segment  // ascending; those that are not committed to their end, and the active one
	committed position   // the database has all before it
	active    appendFile // the last segment, while it is written
	broken    bool       // active has bytes behind its durable ones
	suspect   bool       // the disk failed to make active durable; it is written no more
	shapes    map[string]knownShape
	lastShape uint64
	lastID    uint64
	aside     int64 // bytes of files that are kept for a person to look at

	cursor cursor // used by the reader alone
}

type knownShape struct {
	id      uint64
	columns []Column
}

// openSpill takes up what an earlier run left in dir.
func openSpill(dir string, d disk, q *quota, minFree int64, log *slog.Logger) (*spill, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &spill{dir: dir, disk: d, quota: q, minFree: minFree, log: log, wake: make(chan struct{}, 1)}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("spill %s: %w", dir, err)
	}
	s.lastID = max(s.lastID, uint64(time.Now().UnixNano()))
	s.cursor.start = s.committed
	if !s.empty() {
		s.wake <- struct{}{}
	}
	return s, nil
}

// load lists the segments, repairs the last one and finds where reading stopped.
func (s *spill) load() error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var marks []segment
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return err
		}
		if id, ok := segmentID(f.Name()); ok {
			s.segments = append(s.segments, segment{id: id, size: info.Size()})
		} else if m, ok := segmentEnd(f.Name()); ok {
			marks = append(marks, m)
		} else if strings.HasSuffix(f.Name(), asideSuffix) {
			s.setAsideBytes(info.Size())
		}
	}
	slices.SortFunc(s.segments, func(a, b segment) int { return int(int64(a.id - b.id)) })
	if err := errors.Join(s.applyMarks(marks), s.repairLast()); err != nil {
		return err
	}
	s.committed, err = readPosition(s.positionFile())
	if err != nil {
		return err
	}
	s.lastID = s.committed.segment
	for _, seg := range s.segments {
		s.lastID = seg.id
		s.quota.force(seg.size)
	}
	return s.forget()
}

// repairLast cuts off what was being written in a crash; nobody was told that it was safe.
func (s *spill) repairLast() error {
	for len(s.segments) > 0 {
		last := &s.segments[len(s.segments)-1]
		if err := s.repair(last); err != nil {
			return err
		}
		if last.size > int64(len(segmentMagic)) {
			return nil
		}
		if err := s.removeSegment(*last); err != nil {
			return err
		}
		s.segments = s.segments[:len(s.segments)-1]
	}
	return nil
}

// repair finds the end of a segment that has no mark.
func (s *spill) repair(seg *segment) error {
	if seg.marked {
		return nil
	}
	kept, cut, err := repair(segmentFile(s.dir, seg.id))
	if err != nil {
		return err
	}
	if cut > 0 {
		s.log.Warn("spill ended in the middle of a record: cut off what was never answered for",
			logkey.File, segmentFile(s.dir, seg.id), logkey.Bytes, cut)
	}
	seg.size = kept
	return nil
}

// find gives the segment with an id, or nil. The caller holds mu or is alone.
func (s *spill) find(id uint64) *segment {
	for i := range s.segments {
		if s.segments[i].id == id {
			return &s.segments[i]
		}
	}
	return nil
}

// empty reports whether the database has all that was kept.
func (s *spill) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, behind := s.after(s.committed)
	return !behind
}

// after finds the first segment that has something behind p. The caller holds mu.
func (s *spill) after(p position) (segment, bool) {
	for _, seg := range s.segments {
		if seg.size > int64(len(segmentMagic)) && (seg.id > p.segment || seg.id == p.segment && seg.size > p.offset) {
			return seg, true
		}
	}
	return segment{}, false
}

// size is how many bytes are kept.
func (s *spill) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sizeLocked()
}

func (s *spill) sizeLocked() (n int64) {
	for _, seg := range s.segments {
		n += seg.size
	}
	return n
}

// setAsideBytes counts a file that nobody reads any more. The caller holds mu or is alone.
func (s *spill) setAsideBytes(n int64) {
	s.aside += n
	s.quota.force(n)
}

func (s *spill) positionFile() string { return filepath.Join(s.dir, "offset") }

// readPosition gives the zero position where none can be read: reading again what was stored does no harm.
func readPosition(file string) (position, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return position{}, nil
	}
	if err != nil {
		return position{}, err
	}
	var p position
	if n, err := fmt.Sscanf(string(data), "%d %d\n", &p.segment, &p.offset); n != 2 || err != nil {
		return position{}, nil
	}
	return p, nil
}

// forget removes the segments that are committed to their end. The caller holds mu or is alone.
func (s *spill) forget() error {
	for len(s.segments) > 0 {
		first, p := s.segments[0], s.committed
		if first.id > p.segment || first.id == p.segment && first.size > p.offset {
			return nil
		}
		if len(s.segments) == 1 && s.active != nil {
			s.closeActive()
		}
		if err := s.removeSegment(first); err != nil {
			return err
		}
		s.quota.give(first.size)
		s.segments = s.segments[1:]
	}
	return nil
}

// close ends writing and reading. What is kept stays.
func (s *spill) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != nil {
		s.closeActive()
	}
	s.cursor.close(s.committed)
}

// closeActive closes the segment that is written; all that counts in it is durable already.
func (s *spill) closeActive() {
	if err := s.active.Close(); err != nil {
		s.log.Warn("close spill segment", logkey.Error, err)
	}
	s.active, s.broken, s.suspect = nil, false, false
}

// remove deletes all that is kept.
func (s *spill) remove() error {
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota.give(s.sizeLocked() + s.aside)
	s.segments, s.aside = nil, 0
	return os.RemoveAll(s.dir)
}
