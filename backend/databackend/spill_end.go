package databackend

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bulkhead/internal/logkey"
)

// A segment that could not be cut back to its durable bytes has a mark: an empty file beside it whose name says where it
// ends. It needs no room on a full disk and is there whole or not at all. What is marked is written no more.

const endMark = ".end-"

func endFile(dir string, seg segment) string {
	return fmt.Sprintf("%s%s%d", segmentFile(dir, seg.id), endMark, seg.size)
}

// segmentEnd reads a mark from a file's name.
func segmentEnd(name string) (segment, bool) {
	file, size, marked := strings.Cut(name, endMark)
	id, ok := segmentID(file)
	n, err := strconv.ParseInt(size, 10, 64)
	return segment{id: id, size: n, marked: marked}, marked && ok && err == nil && n >= 0
}

// mark makes it known to the next start too where a segment ends.
func (osDisk) mark(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(filepath.Dir(file)))
}

// undo ends the active segment at its durable bytes, so that what was refused is never read: it is cut off, or else the
// segment is marked and left. Where the disk refuses both nothing is appended until it does not.
func (s *spill) undo() {
	last := &s.segments[len(s.segments)-1]
	cut := errors.Join(s.active.Truncate(last.size), s.active.Sync())
	if cut == nil {
		s.broken = false
		return
	}
	if err := s.disk.mark(endFile(s.dir, *last)); err != nil {
		s.log.Error("rows that were refused are on the disk, and are stored if this process ends before the disk is well again",
			logkey.File, segmentFile(s.dir, last.id), logkey.Error, errors.Join(cut, err))
		return
	}
	last.marked = true
	s.closeActive()
}

// applyMarks ends segments where their marks say.
func (s *spill) applyMarks(marks []segment) error {
	for _, m := range marks {
		seg := s.find(m.id)
		if seg == nil { // it went, and the process ended before its mark did
			if err := removeFile(endFile(s.dir, m)); err != nil {
				return err
			}
			continue
		}
		seg.size, seg.marked = min(seg.size, m.size), true
	}
	return nil
}

// removeSegment deletes a segment and then its mark, in this order.
func (s *spill) removeSegment(seg segment) error {
	if err := removeFile(segmentFile(s.dir, seg.id)); err != nil || !seg.marked {
		return err
	}
	return removeFile(endFile(s.dir, seg))
}

func removeFile(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
