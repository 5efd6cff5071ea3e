package ledger

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Height is the height of tiles: C2SP tlog-tiles has 256 hashes in one.
const (
	Height = 8
	Width  = 1 << Height
)

// Tile is a row of hashes of a tree, from its beginning.
type Tile struct {
	Level  int
	Place  int64
	Hashes []byte // up to Width, of tlog.HashSize each
}

// Edges is the right edge of a tree: of each level of tiles, the hashes of the last one that is not full. It is all that is
// needed to go on, and it fixes the tree's root.
type Edges struct {
	size   int64
	levels [][]tlog.Hash
}

// Size is the number of leaves.
func (e *Edges) Size() int64 { return e.size }

// Clone gives edges that go on apart.
func (e *Edges) Clone() *Edges {
	c := &Edges{size: e.size, levels: make([][]tlog.Hash, len(e.levels))}
	for i, level := range e.levels {
		c.levels[i] = append(make([]tlog.Hash, 0, Width), level...)
	}
	return c
}

// Append adds a leaf's hash and gives each tile that becomes full to full.
func (e *Edges) Append(h tlog.Hash, full func(Tile)) {
	place := e.size >> Height
	e.size++
	for l := 0; ; l++ {
		if l == len(e.levels) {
			e.levels = append(e.levels, make([]tlog.Hash, 0, Width))
		}
		e.levels[l] = append(e.levels[l], h)
		if len(e.levels[l]) < Width {
			return
		}
		if full != nil {
			full(Tile{l, place, flat(e.levels[l])})
		}
		h = subtree(e.levels[l])
		e.levels[l] = e.levels[l][:0]
		place >>= Height
	}
}

// Partial gives the tiles that are not full and have hashes.
func (e *Edges) Partial() []Tile {
	var tiles []Tile
	for l, hashes := range e.levels {
		if len(hashes) > 0 {
			tiles = append(tiles, Tile{l, e.size >> (Height * (l + 1)), flat(hashes)})
		}
	}
	return tiles
}

// Root is the root of the tree, as RFC 6962 has it.
func (e *Edges) Root() tlog.Hash {
	var root tlog.Hash
	any := false
	join := func(left tlog.Hash) {
		if any {
			left = tlog.NodeHash(left, root)
		}
		root, any = left, true
	}
	for _, hashes := range e.levels {
		for end := len(hashes); end > 0; {
			width := end & -end // the smallest whole subtree, at the right
			join(subtree(hashes[end-width : end]))
			end -= width
		}
	}
	if !any {
		root, _ = tlog.TreeHash(0, nil) // of no leaves: it needs no reader and cannot fail
	}
	return root
}

// LoadEdges takes the edges of a tree of a size from its tiles, which may have grown since. Who calls compares the root:
// the tiles are not trusted.
func LoadEdges(size int64, tile func(level int, place int64) ([]byte, error)) (*Edges, error) {
	e := &Edges{size: size}
	for l := 0; size>>(Height*l) > 0; l++ {
		at := size >> (Height * l)
		width := int(at & (Width - 1))
		hashes := make([]tlog.Hash, width, Width)
		if width > 0 {
			text, err := tile(l, at>>Height)
			if err != nil {
				return nil, err
			}
			if len(text) < width*tlog.HashSize {
				return nil, fmt.Errorf("tile %d/%d has %d bytes, want %d or more", l, at>>Height, len(text), width*tlog.HashSize)
			}
			for i := range hashes {
				copy(hashes[i][:], text[i*tlog.HashSize:])
			}
		}
		e.levels = append(e.levels, hashes)
	}
	return e, nil
}

func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

func flat(hashes []tlog.Hash) []byte {
	out := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		out = append(out, h[:]...)
	}
	return out
}

// Reader reads the hashes of a tree from its tiles, and trusts none: each is proved to belong to the tree.
func Reader(tree tlog.Tree, tile func(level int, place int64, width int) ([]byte, error)) tlog.HashReader {
	return tlog.TileHashReader(tree, tiles(tile))
}

type tiles func(level int, place int64, width int) ([]byte, error)

func (tiles) Height() int { return Height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(wanted))
	for i, w := range wanted {
		text, err := t(w.L, w.N, w.W)
		if err != nil {
			return nil, err
		}
		if len(text) < w.W*tlog.HashSize {
			return nil, errors.New("a tile is too short")
		}
		read[i] = text[:w.W*tlog.HashSize]
	}
	return read, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// Last is the hash of the newest leaf, where it is on the edge.
func (e *Edges) Last() (tlog.Hash, error) {
	if len(e.levels) == 0 || len(e.levels[0]) == 0 {
		return tlog.Hash{}, errors.New("the newest leaf is in a full tile")
	}
	return e.levels[0][len(e.levels[0])-1], nil
}
