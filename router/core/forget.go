package core

import "maps"

// room is the most that a map has held since it was made. Go's maps keep the room that they once needed, so without this a
// peak of one tenant's would cost memory for as long as its realm lives.
type room int

// worthwhile is from how many entries on a map's room is looked at.
const worthwhile = 1024

// forget removes a key and gives the map that is to be used from now on: a smaller one once little is left of what it held.
// Seven entries are removed for each that is copied.
func forget[K comparable, V any](m map[K]V, most *room, k K) map[K]V {
	*most = max(*most, room(len(m)))
	delete(m, k)
	if *most < worthwhile || len(m) > int(*most)/8 {
		return m
	}
	smaller := make(map[K]V, len(m))
	maps.Copy(smaller, m)
	*most = room(len(m))
	return smaller
}
