package databackend

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"bulkhead/internal/logkey"
)

// cursor is where the reader is: in an open segment, or between segments at start.
type cursor struct {
	start  position
	file   *os.File
	id     uint64
	frames *frames
	shapes map[uint64]shape
}

// close leaves the segment; reading goes on behind at.
func (c *cursor) close(at position) {
	if c.file != nil {
		c.file.Close() // opened for reading only
	}
	*c = cursor{start: at}
}

// position is behind the last frame that was read.
func (c *cursor) position() position {
	if c.file == nil {
		return c.start
	}
	return position{c.id, c.frames.offset}
}

// tail reads a segment up to its durable end, which grows.
type tail struct {
	file  *os.File
	at    int64
	limit func() int64
}

func (t *tail) Read(b []byte) (int, error) {
	left := t.limit() - t.at
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := t.file.ReadAt(b[:min(int64(len(b)), left)], t.at)
	t.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// read gives the next entries, about as many as rows and bytes say, and the position behind them. It gives none where all
// was read. It goes on where the last read ended; commit says what need not be read again after a restart.
func (s *spill) read(rows, bytes int) ([]entry, position, error) {
	var entries []entry
	for rows > 0 && bytes > 0 {
		e, err := s.readOne()
		if errors.Is(err, io.EOF) || err != nil && len(entries) > 0 {
			break
		}
		if err != nil {
			return nil, position{}, err
		}
		entries = append(entries, e)
		rows -= len(e.records)
		bytes -= e.size()
	}
	return entries, s.cursor.position(), nil
}

// readOne gives the next entry, or io.EOF. After another error it may be called again and goes on at the same place.
func (s *spill) readOne() (entry, error) {
	for {
		if s.cursor.file == nil {
			if err := s.openNext(); err != nil {
				return entry{}, err
			}
		}
		content, err := s.cursor.frames.next()
		if err == nil {
			var e entry
			var is bool
			if e, is, err = s.cursor.interpret(content); is {
				return e, nil
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if !s.hasAfter(s.cursor.id) {
				return entry{}, io.EOF
			}
			s.cursor.close(s.cursor.position())
		case errors.Is(err, errTorn), errors.Is(err, errFrame):
			s.skipRest(err)
		default:
			s.cursor.close(s.cursor.position())
			return entry{}, err
		}
	}
}

// interpret reads an entry, or takes note of a shape.
func (c *cursor) interpret(content []byte) (entry, bool, error) {
	sc := &scanner{rest: content, ok: true}
	switch sc.byte() {
	case frameShape:
		id, sh := sc.shape()
		if !sc.ok {
			return entry{}, false, errFrame
		}
		c.shapes[id] = sh
		return entry{}, false, nil
	case frameEntry:
		e, err := sc.entry(c.shapes)
		return e, err == nil, err
	default:
		return entry{}, false, errFrame
	}
}

// openNext opens the first segment that is not read to its end, and skips what was read before.
func (s *spill) openNext() error {
	s.mu.Lock()
	seg, ok := s.after(s.cursor.start)
	s.mu.Unlock()
	if !ok {
		return io.EOF
	}
	f, err := os.Open(segmentFile(s.dir, seg.id))
	if err != nil {
		return err
	}
	start := s.cursor.start
	s.cursor = cursor{start: start, file: f, id: seg.id, frames: &frames{}, shapes: map[uint64]shape{}}
	read, err := newFrames(&tail{file: f, limit: func() int64 { return s.durable(seg.id) }})
	if err != nil {
		s.skipRest(err)
		return s.openNext()
	}
	s.cursor.frames = read
	if start.segment != seg.id {
		return nil
	}
	return s.skipTo(start.offset)
}

// skipTo passes frames that were read before, and takes note of the shapes among them.
func (s *spill) skipTo(offset int64) error {
	for s.cursor.frames.offset < offset {
		content, err := s.cursor.frames.next()
		if err == nil && content[0] == frameShape {
			_, _, err = s.cursor.interpret(content)
		}
		if err != nil {
			s.skipRest(err)
			return s.openNext()
		}
	}
	return nil
}

func (s *spill) hasAfter(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.after(position{segment: id, offset: math.MaxInt64})
	return ok
}

// durable gives the durable size of a segment.
func (s *spill) durable(id uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sizeOf(id)
}

func (s *spill) sizeOf(id uint64) int64 {
	if seg := s.find(id); seg != nil {
		return seg.size
	}
	return 0
}

// skipRest leaves a segment that the disk has damaged. The file is kept aside for whoever can read more of it.
func (s *spill) skipRest(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.segments); s.active != nil && s.segments[n-1].id == s.cursor.id {
		s.closeActive() // what comes now must not stand behind the damage
	}
	file, size := segmentFile(s.dir, s.cursor.id), s.sizeOf(s.cursor.id)
	s.log.Error("spill is damaged: rows that were answered for are lost", logkey.File, file+asideSuffix,
		logkey.Bytes, size-s.cursor.frames.offset, logkey.Error, cause)
	switch err := os.Link(file, file+asideSuffix); {
	case err == nil:
		s.setAsideBytes(size)
	case !errors.Is(err, fs.ErrExist):
		s.log.Error("keep damaged spill", logkey.File, file, logkey.Error, err)
	}
	s.cursor.close(position{s.cursor.id, size})
}

// commit says that the database has all before p; it is not read again after a restart. Where that cannot be noted, it is
// read again, which does no harm; the segments go all the same, since the disk may be full of them.
func (s *spill) commit(p position) {
	if err := replaceFile(s.positionFile(), fmt.Appendf(nil, "%d %d\n", p.segment, p.offset)); err != nil {
		s.log.Warn("note how far the spill is stored", logkey.Error, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = p
	if _, behind := s.after(p); !behind {
		s.cursor.close(p) // its file may be about to go
	}
	if err := s.forget(); err != nil {
		s.log.Error("delete stored spill", logkey.Error, err)
	}
}

// setAside keeps an entry that cannot be stored, out of the way of the others, within the quota.
func (s *spill) setAside(e entry) error {
	data, err := appendFrame([]byte(segmentMagic), func(b []byte) ([]byte, error) {
		return appendShape(b, 1, shape{e.table, e.columns}), nil
	})
	if err == nil {
		data, err = appendFrame(data, func(b []byte) ([]byte, error) { return appendEntry(b, 1, e) })
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.lastID++
	file := segmentFile(s.dir, s.lastID) + asideSuffix
	s.mu.Unlock()
	if !s.quota.take(int64(len(data))) {
		return errSpillFull
	}
	if err := writeDurably(file, data); err != nil {
		s.quota.give(int64(len(data)))
		return err
	}
	s.mu.Lock()
	s.aside += int64(len(data))
	s.mu.Unlock()
	return nil
}

// replaceFile replaces a file whole, though not durably: after a loss of power the old one may stand.
func replaceFile(file string, data []byte) error {
	if err := os.WriteFile(file+".tmp", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".tmp", file)
}
