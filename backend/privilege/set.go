package privilege

import (
	"fmt"
	"math/bits"

	"bulkhead/wire"
)

//go:generate go test -run ^TestThePageHasTheCatalogue$ . -update

// Set is a set of flags. The zero Set is empty.
type Set uint64

// index has the bit of each flag: its place in the catalogue.
var index = func() map[wire.Flag]Set {
	if len(wire.Catalogue) > 64 {
		panic(fmt.Sprintf("privilege: %d flags do not fit into a Set", len(wire.Catalogue)))
	}
	m := make(map[wire.Flag]Set, len(wire.Catalogue))
	for i, p := range wire.Catalogue {
		m[p.Flag] = 1 << i
	}
	return m
}()

// Of gives the set of some flags. Words that are no flags are left out.
func Of(flags ...wire.Flag) (s Set) {
	for _, f := range flags {
		s |= index[f]
	}
	return s
}

// Everything, among the scopes of an API key, names all flags.
const Everything wire.Flag = "*"

// Scopes gives the set that the scopes of an API key name.
func Scopes(scopes []wire.Flag) (s Set) {
	for _, f := range scopes {
		if f == Everything {
			return known
		}
		s |= index[f]
	}
	return s
}

// Named gives the flags of a set by its name; see wire.Sets.
func Named(name string) (Set, bool) {
	flags, ok := wire.Set(name)
	return Of(flags...), ok
}

// Has reports whether f is in the set; what is no flag is in none.
func (s Set) Has(f wire.Flag) bool { return s&index[f] != 0 }

// Without gives what is in s and not in other.
func (s Set) Without(other Set) Set { return s &^ other }

// Len counts the flags.
func (s Set) Len() int { return bits.OnesCount64(uint64(s & known)) }

// Flags lists the flags in the order of the catalogue.
func (s Set) Flags() []wire.Flag {
	flags := make([]wire.Flag, 0, s.Len())
	for i, p := range wire.Catalogue {
		if s&(1<<i) != 0 {
			flags = append(flags, p.Flag)
		}
	}
	return flags
}

// known has the flags of the catalogue.
var known = ofKinds(wire.AssetPlatform, wire.AssetProject, wire.AssetDevice, wire.AssetGroup, wire.AssetApp, wire.AssetDashboard,
	wire.AssetDataBackend, wire.AssetSelf)

// ofKinds gives all flags of some kinds of asset.
func ofKinds(kinds ...wire.AssetKind) (s Set) {
	for _, p := range wire.Catalogue {
		for _, k := range kinds {
			if p.Flag.Kind() == k {
				s |= index[p.Flag]
			}
		}
	}
	return s
}
