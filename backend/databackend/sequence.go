package databackend

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// sequence gives numbers that no row has, also across restarts and a clock that steps back. They are negative, so that a
// producer's own numbers never meet them.
type sequence struct{ next atomic.Int64 }

// seqReserve is how many numbers one run may give out: more than it can.
const seqReserve = 1 << 44

// openSequence goes on after whatever an earlier run may have given out, as the file in dir says.
func openSequence(dir string, now time.Time) (*sequence, error) {
	file := filepath.Join(dir, "seq")
	first := now.Unix() << 20
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		reserved, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
		if err != nil || reserved < 0 {
			return nil, fmt.Errorf("%s: want one number", file)
		}
		first = max(first, reserved)
	}
	if err := writeDurably(file, []byte(strconv.FormatInt(first+seqReserve, 10)+"\n")); err != nil {
		return nil, err
	}
	s := &sequence{}
	s.next.Store(first)
	return s, nil
}

// take gives the first of n ascending numbers, all above those it gave before.
func (s *sequence) take(n int) int64 { return math.MinInt64 + s.next.Add(int64(n)) - int64(n) }

// writeDurably replaces a file so that a crash leaves the old one or the new one.
func writeDurably(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
