package databackend

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A segment is a file of frames: length and CRC32C of the length and the content, four bytes each, then the content.
// A frame that is cut short or whose sum is wrong ends the segment.

const (
	segmentMagic  = "BULKSPL1"
	segmentSuffix = ".seg"
	frameHead     = 8
	maxFrame      = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn ends a segment before its end.
var errTorn = errors.New("a frame is torn")

func segmentFile(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", id, segmentSuffix))
}

// segmentID reads the id from a file's name.
func segmentID(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil
}

// appendFrame adds the frame whose content fill appends.
func appendFrame(b []byte, fill func(b []byte) ([]byte, error)) ([]byte, error) {
	head := len(b)
	b, err := fill(append(b, make([]byte, frameHead)...))
	if err != nil {
		return nil, err
	}
	content := b[head+frameHead:]
	if len(content) > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes is too large", len(content))
	}
	binary.BigEndian.PutUint32(b[head:], uint32(len(content)))
	binary.BigEndian.PutUint32(b[head+4:], frameSum(b[head:head+4], content))
	return b, nil
}

func frameSum(length, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, content)
}

// frames reads the frames of a segment.
type frames struct {
	r      *bufio.Reader
	offset int64 // of the next frame
}

// newFrames reads from the start of a segment.
func newFrames(r io.Reader) (*frames, error) {
	f := &frames{r: bufio.NewReaderSize(r, 256<<10)}
	magic := make([]byte, len(segmentMagic))
	if _, err := io.ReadFull(f.r, magic); err != nil {
		return nil, torn(err)
	}
	if string(magic) != segmentMagic {
		return nil, errTorn
	}
	f.offset = int64(len(magic))
	return f, nil
}

// next gives the content of the next frame, io.EOF where there is none, or errTorn.
func (f *frames) next() ([]byte, error) {
	head := make([]byte, frameHead)
	switch n, err := io.ReadFull(f.r, head); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, torn(err)
	}
	length := binary.BigEndian.Uint32(head)
	if length == 0 || length > maxFrame {
		return nil, errTorn
	}
	content, err := readExactly(f.r, int(length))
	if err != nil {
		return nil, torn(err)
	}
	if frameSum(head[:4], content) != binary.BigEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	f.offset += frameHead + int64(length)
	return content, nil
}

// readExactly reads n bytes without trusting n with memory that the segment does not fill.
func readExactly(r io.Reader, n int) ([]byte, error) {
	const trusted = 1 << 20
	b := make([]byte, 0, min(n, trusted))
	for len(b) < n {
		from := len(b)
		b = append(b, make([]byte, min(n-from, trusted))...)
		if _, err := io.ReadFull(r, b[from:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// torn tells a segment that ends early from a disk that fails.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

// repair cuts the torn end off a segment that a crash left, and tells how much that was. A segment without any frame is
// cut to nothing.
func repair(file string) (kept, cut int64, err error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	if kept, err = lastFrame(io.NewSectionReader(f, 0, size)); err != nil {
		return 0, 0, err
	}
	if kept == size {
		return kept, 0, nil
	}
	return kept, size - kept, errors.Join(f.Truncate(kept), f.Sync())
}

// lastFrame gives the offset behind the last frame that is whole.
func lastFrame(r io.Reader) (int64, error) {
	f, err := newFrames(r)
	if errors.Is(err, errTorn) {
		return 0, nil
	}
	for err == nil {
		_, err = f.next()
	}
	if errors.Is(err, errTorn) || errors.Is(err, io.EOF) {
		return f.offset, nil
	}
	return 0, err
}
