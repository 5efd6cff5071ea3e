package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Entries is the level of a path that is of leaves themselves.
const Entries = -1

// maxLevel is the highest level of a tile of a tree of 2^63 leaves.
const maxLevel = 7

// Path names a tile or a bundle of entries below a log's own prefix, as C2SP tlog-tiles does: tile/0/x001/234.p/5.
func Path(level int, place int64, width int) string {
	name := fmt.Sprintf("%03d", place%1000)
	for n := place / 1000; n > 0; n /= 1000 {
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	kind := "entries"
	if level != Entries {
		kind = strconv.Itoa(level)
	}
	if width != Width {
		name += ".p/" + strconv.Itoa(width)
	}
	return "tile/" + kind + "/" + name
}

// ParsePath reads what Path writes, and nothing else: one tile has one path.
func ParsePath(path string) (level int, place int64, width int, err error) {
	bad := fmt.Errorf("no tile has the path %.80q", path)
	parts := strings.Split(path, "/")
	if len(parts) < 3 || len(parts) > 10 || parts[0] != "tile" {
		return 0, 0, 0, bad
	}
	level = Entries
	if parts[1] != "entries" {
		if level, err = strconv.Atoi(parts[1]); err != nil || level < 0 || level > maxLevel {
			return 0, 0, 0, bad
		}
	}
	width, parts = Width, parts[2:]
	if whole, partial := strings.CutSuffix(parts[max(0, len(parts)-2)], ".p"); partial && len(parts) > 1 {
		if width, err = strconv.Atoi(parts[len(parts)-1]); err != nil || width < 1 || width >= Width {
			return 0, 0, 0, bad
		}
		parts = append(parts[:len(parts)-2:len(parts)-2], whole)
	}
	for _, part := range parts {
		n, err := strconv.ParseUint(strings.TrimPrefix(part, "x"), 10, 16)
		if err != nil || n > 999 || place > (1<<55) {
			return 0, 0, 0, bad
		}
		place = place*1000 + int64(n)
	}
	if Path(level, place, width) != path {
		return 0, 0, 0, bad
	}
	return level, place, width, nil
}

// WidthOf is how many hashes a tile of a tree of a size has; zero where there is no such tile.
func WidthOf(size int64, level int, place int64) int {
	level = max(level, 0)
	if place < 0 || place > (size>>(Height*level))>>Height {
		return 0
	}
	return int(min(size>>(Height*level)-place<<Height, Width))
}

// AppendBundle adds a leaf to a bundle of entries.
func AppendBundle(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) > 1<<16-1 {
		return nil, errors.New("the leaf is too large for a bundle")
	}
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...), nil
}

// ParseBundle gives the leaves of a bundle, of which there are width.
func ParseBundle(bundle []byte, width int) ([][]byte, error) {
	if width < 0 || width > Width {
		return nil, fmt.Errorf("no bundle has %d entries", width)
	}
	leaves := make([][]byte, 0, width)
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, errors.New("the bundle breaks off")
		}
		n := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+n || len(leaves) == width {
			return nil, errors.New("the bundle breaks off, or has too many entries")
		}
		leaves, bundle = append(leaves, bundle[2:2+n:2+n]), bundle[2+n:]
	}
	if len(leaves) != width {
		return nil, fmt.Errorf("the bundle has %d entries, want %d", len(leaves), width)
	}
	return leaves, nil
}

// HashOf is the hash of a leaf.
func HashOf(leaf []byte) tlog.Hash { return tlog.RecordHash(leaf) }
