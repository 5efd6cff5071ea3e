package privilege

import (
	"maps"

	"bulkhead/wire"
)

// shards is how many parts a table has: one change copies one part.
const shards = 64

// table is an immutable map from keys. The zero table is empty.
type table[V any] struct{ parts [shards]map[wire.Key]V }

func (t *table[V]) get(key wire.Key) (V, bool) {
	v, ok := t.parts[key%shards][key]
	return v, ok
}

// set changes a table that nobody else sees yet; the parts that it shares with others it leaves as they are.
func (t *table[V]) set(key wire.Key, v V) {
	part := clone(t.parts[key%shards])
	part[key] = v
	t.parts[key%shards] = part
}

func (t *table[V]) remove(key wire.Key) {
	if _, ok := t.get(key); !ok {
		return
	}
	part := clone(t.parts[key%shards])
	delete(part, key)
	t.parts[key%shards] = part
}

// fill is set for a table none of whose parts is shared.
func (t *table[V]) fill(key wire.Key, v V) {
	part := t.parts[key%shards]
	if part == nil {
		part = map[wire.Key]V{}
		t.parts[key%shards] = part
	}
	part[key] = v
}

func (t *table[V]) all(yield func(wire.Key, V) bool) {
	for _, part := range t.parts {
		for k, v := range part {
			if !yield(k, v) {
				return
			}
		}
	}
}

func clone[V any](m map[wire.Key]V) map[wire.Key]V {
	if m == nil {
		return map[wire.Key]V{}
	}
	return maps.Clone(m)
}
