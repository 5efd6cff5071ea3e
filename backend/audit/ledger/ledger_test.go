package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bulkhead/backend/audit"
	"bulkhead/backend/audit/ledger"
)

// naive is RFC 6962, section 2.1, word by word.
func naive(leaves [][]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := naive(leaves[:k]), naive(leaves[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// naivePath is PATH of section 2.1.1.
func naivePath(m int, leaves [][]byte) [][32]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	if m < k {
		return append(naivePath(m, leaves[:k]), naive(leaves[k:]))
	}
	return append(naivePath(m-k, leaves[k:]), naive(leaves[:k]))
}

type key struct {
	signer   note.Signer
	verifier note.Verifier
	public   string
}

func newKey(t testing.TB) key {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	s, errS := note.NewSigner(private)
	v, errV := note.NewVerifier(public)
	if err := errors.Join(errS, errV); err != nil {
		t.Fatal(err)
	}
	return key{s, v, public}
}

// log is a log in memory, as a source.
type log struct {
	key        key
	log        ledger.Log
	edges      ledger.Edges
	leaves     [][]byte
	tiles      map[string][]byte
	checkpoint []byte
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func leafOf(sequence int, project int64, at time.Time) []byte {
	return fmt.Appendf(nil, `{"version":2,"sequence":%d,"time":%q,"action":"device.create","actor":{"id":"k","kind":"apikey"},"asset":{"kind":"device","key":7},"outcome":"done","project_key":%d,"severity":"info"}`,
		sequence, at.Format(time.RFC3339Nano), project)
}

func newLog(t testing.TB, entries int) *log {
	t.Helper()
	l := &log{key: newKey(t), log: 7, tiles: map[string][]byte{}}
	for i := range entries {
		l.add(leafOf(i+1, 7, noon.Add(time.Duration(i)*time.Second)))
	}
	l.sign(t)
	return l
}

func (l *log) add(leaf []byte) {
	l.leaves = append(l.leaves, leaf)
	l.edges.Append(ledger.HashOf(leaf), func(tile ledger.Tile) { l.tiles[ledger.Path(tile.Level, tile.Place, ledger.Width)] = tile.Hashes })
}

func (l *log) sign(t testing.TB) ledger.Checkpoint {
	t.Helper()
	for _, tile := range l.edges.Partial() {
		l.tiles[ledger.Path(tile.Level, tile.Place, ledger.Width)] = tile.Hashes
	}
	c, err := ledger.Sign(ledger.Origin("test", l.log), l.edges.Size(), l.edges.Root(), l.key.signer)
	if err != nil {
		t.Fatal(err)
	}
	l.checkpoint = []byte(c.Note)
	return c
}

func (l *log) Checkpoint(context.Context, ledger.Log) ([]byte, error) { return l.checkpoint, nil }

func (l *log) Tile(_ context.Context, _ ledger.Log, level int, place int64, width int) (text []byte, err error) {
	if level != ledger.Entries {
		return l.tiles[ledger.Path(level, place, ledger.Width)][:width*tlog.HashSize], nil
	}
	first := int(place << ledger.Height)
	if first+width > len(l.leaves) {
		return nil, errors.New("no such entries")
	}
	for _, leaf := range l.leaves[first : first+width] {
		if text, err = ledger.AppendBundle(text, leaf); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (l *log) verify(before ...ledger.State) error {
	_, err := ledger.Verification{Key: l.key.verifier, Log: l.log, Before: before}.Verify(context.Background(), l)
	return err
}

func TestRootsAndProofsAreThoseOfRFC6962(t *testing.T) {
	t.Parallel()
	l := newLog(t, 0)
	for n := range 600 {
		if got := l.edges.Root(); got != tlog.Hash(naive(l.leaves)) {
			t.Fatalf("root of %d leaves is %s", n, got)
		}
		l.add(leafOf(n+1, 7, noon))
	}
	c := l.sign(t)
	for _, place := range []int64{0, 1, 255, 256, 511, 512, 599} {
		proof, err := ledger.Prove(t.Context(), ledger.Placed{Log: 7, Place: place, Leaf: l.leaves[place]}, l.key.public, l.key.verifier, l)
		if err != nil {
			t.Fatal(err)
		}
		want := naivePath(int(place), l.leaves)
		if !slices.EqualFunc(proof.Hashes, want, func(a tlog.Hash, b [32]byte) bool { return a == b }) {
			t.Errorf("the proof of place %d is another", place)
		}
		if _, got, err := proof.Check(l.key.verifier); err != nil || got.Root != c.Root {
			t.Error(err)
		}
	}
}

func TestATreeGoesOnFromItsTilesAlone(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 255, 256, 257, 65535, 65536, 65537} {
		l := newLog(t, size)
		loaded, err := ledger.LoadEdges(int64(size), func(level int, place int64) ([]byte, error) {
			return l.tiles[ledger.Path(level, place, ledger.Width)], nil
		})
		if err != nil || loaded.Root() != l.edges.Root() {
			t.Errorf("%d: %v", size, err)
		}
	}
}

func TestWhateverIsChangedInALogIsNoticed(t *testing.T) {
	t.Parallel()
	other := newKey(t)
	older := newLog(t, 300)
	state := ledger.State{Log: "7", Size: older.edges.Size(), Root: older.edges.Root(), Time: noon}
	for name, c := range map[string]struct {
		change func(l *log)
		says   string
	}{
		"nothing":              {func(*log) {}, ""},
		"an entry is edited":   {func(l *log) { l.leaves[500] = leafOf(5001, 7, noon.Add(500*time.Second)) }, "differ"},
		"of the last tile":     {func(l *log) { l.leaves[699] = leafOf(700, 7, noon.Add(time.Hour)) }, "not those of the signed checkpoint"},
		"two are swapped":      {func(l *log) { l.leaves[5], l.leaves[6] = l.leaves[6], l.leaves[5] }, "differ"},
		"the last ten are cut": {func(l *log) { l.leaves = l.leaves[:690] }, "no such entries"},
		"hashes are edited":    {func(l *log) { l.tiles["tile/0/000"][5] ^= 1 }, "differ"},
		"hashes above too":     {func(l *log) { l.tiles["tile/1/000"][5] ^= 1 }, "differ"},
		"signed by another": {func(l *log) {
			l.key.signer = other.signer
			l.sign(t)
		}, "not signed with the key"},
		"of another log":  {func(l *log) { l.log = 8; l.sign(t); l.log = 7 }, "the checkpoint is of"},
		"an older backup": {func(l *log) { *l = *rewound(t, l, 200) }, "older backup"},
		"another past": {func(l *log) {
			forked := newLog(t, 0)
			forked.key = l.key
			for i := range 700 {
				forked.add(leafOf(i+1, 7, noon.Add(time.Duration(i)*time.Minute)))
			}
			forked.sign(t)
			*l = *forked
		}, "its past was changed"},
		"dated back": {func(l *log) { l.add(leafOf(9999, 7, noon)); l.sign(t) }, "dated back"},
		"another project's entry": {func(l *log) {
			l.add(leafOf(9999, 8, noon.Add(time.Hour)))
			l.sign(t)
		}, "belongs to another log"},
		"no entry": {func(l *log) { l.add([]byte(`{"version":9}`)); l.sign(t) }, "version is 9"},
	} {
		l := newLog(t, 700)
		c.change(l)
		err := l.verify(state)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func rewound(t *testing.T, l *log, size int) *log {
	old := newLog(t, 0)
	old.key = l.key
	for _, leaf := range l.leaves[:size] {
		old.add(leaf)
	}
	old.sign(t)
	return old
}

func TestTwoSignedStatesOfOneSizeAreAFork(t *testing.T) {
	t.Parallel()
	l := newLog(t, 10)
	err := l.verify(ledger.State{Size: 5, Root: tlog.Hash{1}}, ledger.State{Size: 5, Root: tlog.Hash{2}})
	if fault := new(ledger.Fault); !errors.As(err, &fault) || !strings.Contains(err.Error(), "forked") {
		t.Errorf("got %v", err)
	}
}

func TestAProofOfAnythingElseIsRefused(t *testing.T) {
	t.Parallel()
	l := newLog(t, 300)
	good, err := ledger.Prove(t.Context(), ledger.Placed{Log: 7, Place: 42, Leaf: l.leaves[42]}, l.key.public, l.key.verifier, l)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(p *ledger.Proof){
		"another leaf":       func(p *ledger.Proof) { p.Leaf = strings.Replace(p.Leaf, "device.create", "device.delete", 1) },
		"another place":      func(p *ledger.Proof) { p.Place++ },
		"before the log":     func(p *ledger.Proof) { p.Place = -1 },
		"beyond the log":     func(p *ledger.Proof) { p.Place = 300 },
		"a hash less":        func(p *ledger.Proof) { p.Hashes = p.Hashes[1:] },
		"a hash more":        func(p *ledger.Proof) { p.Hashes = append(slices.Clone(p.Hashes), tlog.Hash{}) },
		"another checkpoint": func(p *ledger.Proof) { p.Checkpoint = string(newLog(t, 300).checkpoint) },
		"another size":       func(p *ledger.Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n300\n", "\n301\n", 1) },
		"personal data":      func(p *ledger.Proof) { p.Personal = &audit.Personal{Salt: make([]byte, 32), Data: []byte(`{}`)} },
	} {
		p := good
		change(&p)
		if _, _, err := p.Check(l.key.verifier); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ledger.ParseProof(text)
	if err != nil {
		t.Fatal(err)
	}
	if entry, _, err := again.Check(l.key.verifier); err != nil || entry.Sequence != 43 {
		t.Errorf("%+v %v", entry, err)
	}
}

func TestAnEntryOfOneLogProvesNothingInAnother(t *testing.T) {
	t.Parallel()
	l := newLog(t, 1)
	l.add(leafOf(2, 8, noon)) // the server put it where it does not belong
	l.sign(t)
	if _, err := ledger.Prove(t.Context(), ledger.Placed{Log: 7, Place: 1, Leaf: l.leaves[1]}, l.key.public, l.key.verifier, l); err == nil {
		t.Error("believed")
	}
}

func TestATileHasOnePath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][3]int64{
		"tile/0/000": {0, 0, 256}, "tile/0/x001/067": {0, 1067, 256}, "tile/3/x001/x234/067.p/8": {3, 1234067, 8}, "tile/entries/000.p/1": {-1, 0, 1},
	} {
		level, place, width, err := ledger.ParsePath(path)
		if err != nil || [3]int64{int64(level), place, int64(width)} != want || ledger.Path(level, place, width) != path {
			t.Errorf("%s: %d %d %d %v", path, level, place, width, err)
		}
	}
	for _, path := range []string{
		"", "tile", "tile/0", "tile/0/0", "tile/0/00", "tile/00/000", "tile/+0/000", "tile/-1/000", "tile/8/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
		"tile/0/000.p", "tile/0/../000", "tile/0//000", "tile/0/x000/000", "tile/0/1000", "tile/data/000", "tile/0/000/", "/tile/0/000", "tile/0/x001/x000.p/1", "tile/0/%2e%2e",
	} {
		if _, _, _, err := ledger.ParsePath(path); err == nil {
			t.Errorf("%q is a path", path)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("tile/0/x001/067.p/5")
	f.Add("tile/entries/000")
	f.Fuzz(func(t *testing.T, path string) {
		if level, place, width, err := ledger.ParsePath(path); err == nil && (ledger.Path(level, place, width) != path || place < 0 || width < 1 || width > 256) {
			t.Errorf("%q", path)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte("\x00\x02ab\x00\x00"), 2)
	f.Add([]byte("0"), -17)
	f.Fuzz(func(t *testing.T, text []byte, width int) {
		leaves, err := ledger.ParseBundle(text, width)
		if err != nil {
			return
		}
		var again []byte
		for _, leaf := range leaves {
			again, _ = ledger.AppendBundle(again, leaf)
		}
		if len(leaves) != width || !bytes.Equal(again, text) {
			t.Errorf("%q %d", text, width)
		}
	})
}

func FuzzOpen(f *testing.F) {
	l := newLog(f, 3)
	f.Add(l.checkpoint)
	f.Add([]byte("test/7\n3\n\n— test AAAA\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ledger.OpenAny(text, l.key.verifier)
		if err == nil && !(c.Origin == "test/7" && c.Size == 3 && c.Root == l.edges.Root()) {
			t.Errorf("forged: %q", text)
		}
	})
}

func FuzzProof(f *testing.F) {
	l := newLog(f, 300)
	good, err := ledger.Prove(context.Background(), ledger.Placed{Log: 7, Place: 42, Leaf: l.leaves[42]}, l.key.public, l.key.verifier, l)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":"bulkhead audit proof 1","hashes":[],"checkpoint":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ledger.ParseProof(text)
		if err != nil {
			return
		}
		if _, _, err := p.Check(l.key.verifier); err == nil && !slices.ContainsFunc(l.leaves, func(leaf []byte) bool { return string(leaf) == p.Leaf }) {
			t.Errorf("forged: %q", text)
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add(ledger.State{Version: 1, Log: "7", Size: 3, Time: noon}.Leaf())
	f.Fuzz(func(t *testing.T, leaf []byte) {
		if s, of, err := ledger.ParseState(leaf); err == nil && (s.Size < 1 || of < 0) {
			t.Errorf("%q", leaf)
		}
	})
}

// BenchmarkProve proves and checks inclusions among a million entries.
func BenchmarkProve(b *testing.B) {
	l := newLog(b, 1_000_000)
	b.ResetTimer()
	for i := range b.N {
		place := int64(i*7919) % 1_000_000
		if _, err := ledger.Prove(b.Context(), ledger.Placed{Log: 7, Place: place, Leaf: l.leaves[place]}, l.key.public, l.key.verifier, l); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify recomputes a log of a million entries.
func BenchmarkVerify(b *testing.B) {
	l := newLog(b, 1_000_000)
	for b.Loop() {
		if err := l.verify(); err != nil {
			b.Fatal(err)
		}
	}
}
