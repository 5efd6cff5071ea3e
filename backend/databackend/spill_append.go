package databackend

import (
	"errors"
	"syscall"
)

// append keeps entries in order and returns once they are durable. Where it fails nothing of them is kept.
func (s *spill) append(entries []entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	shapes := map[string]knownShape{}
	data, err := s.encode(entries, shapes)
	if err != nil {
		return err
	}
	if err := s.room(int64(len(data))); err != nil {
		return err
	}
	if err := s.write(data); err != nil {
		s.quota.give(int64(len(data)))
		s.undo()
		return asFull(err)
	}
	for table, known := range shapes {
		s.shapes[table] = known
	}
	s.segments[len(s.segments)-1].size += int64(len(data))
	select {
	case s.wake <- struct{}{}:
	default: // the reader has a token already
	}
	return nil
}

// ready has a segment that can be written.
func (s *spill) ready() error {
	if s.active != nil && s.broken {
		if s.undo(); s.broken {
			return errSpillFull
		}
	}
	if s.active != nil && !s.suspect && s.segments[len(s.segments)-1].size < segmentSize {
		return nil
	}
	return s.rotate()
}

// rotate closes the segment that is written and begins another. The new one counts once it has an entry.
func (s *spill) rotate() error {
	if !s.quota.take(int64(len(segmentMagic))) {
		return errSpillFull
	}
	id := s.lastID + 1
	f, err := s.begin(id)
	if err != nil {
		s.quota.give(int64(len(segmentMagic)))
		return asFull(err)
	}
	if s.active != nil {
		s.closeActive()
	}
	s.active, s.lastID, s.shapes, s.lastShape = f, id, map[string]knownShape{}, 0
	s.segments = append(s.segments, segment{id: id, size: int64(len(segmentMagic))})
	return nil
}

func (s *spill) begin(id uint64) (appendFile, error) {
	f, err := s.disk.create(segmentFile(s.dir, id))
	if err != nil {
		return nil, err
	}
	_, err = f.Write([]byte(segmentMagic))
	if err = errors.Join(err, f.Sync(), syncDir(s.dir)); err != nil {
		return nil, errors.Join(err, f.Close(), removeFile(segmentFile(s.dir, id)))
	}
	return f, nil
}

// encode makes the frames of entries, and of the shapes that the segment does not have yet.
func (s *spill) encode(entries []entry, fresh map[string]knownShape) (data []byte, err error) {
	for _, e := range entries {
		known, ok := fresh[e.table]
		if !ok {
			known, ok = s.shapes[e.table]
		}
		if !ok || !sameShape(known.columns, e.columns) {
			s.lastShape++
			known = knownShape{s.lastShape, e.columns}
			fresh[e.table] = known
			data, err = appendFrame(data, func(b []byte) ([]byte, error) {
				return appendShape(b, known.id, shape{e.table, e.columns}), nil
			})
			if err != nil {
				return nil, err
			}
		}
		data, err = appendFrame(data, func(b []byte) ([]byte, error) { return appendEntry(b, known.id, e) })
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// room takes n bytes of the quota, and leaves the disk what others need.
func (s *spill) room(n int64) error {
	if s.minFree > 0 {
		if free, err := s.disk.free(s.dir); err == nil && free-n < s.minFree {
			return errSpillFull
		}
	}
	if !s.quota.take(n) {
		return errSpillFull
	}
	return nil
}

func (s *spill) write(data []byte) error {
	s.broken = true
	if _, err := s.active.Write(data); err != nil {
		return err
	}
	if err := s.active.Sync(); err != nil {
		s.suspect = true
		return err
	}
	s.broken = false
	return nil
}

// asFull makes what a full disk says errSpillFull.
func asFull(err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return errors.Join(errSpillFull, err)
		}
	}
	return err
}
