package server

import (
	"testing"

	"bulkhead/backend/databackend"
	"bulkhead/realms"
	"bulkhead/wire"
)

// A project can have its own rows wait, with a database login of its own, in as many installations as it likes.
func TestAProjectWhoseRowsWaitDoesNotTakeTheServerFromTheOthers(t *testing.T) {
	t.Parallel()
	of := func(project, app wire.Key, state databackend.State) databackend.Stats {
		return databackend.Stats{Realm: realms.OfInstallation(project, app, wire.Prod).Name(), State: state}
	}
	const flows, waits, refused = databackend.Flowing, databackend.Behind, databackend.Stopped
	for name, c := range map[string]struct {
		all   []databackend.Stats
		ready bool
	}{
		"nothing is installed":        {nil, true},
		"all flows":                   {[]databackend.Stats{of(1, 1, flows), of(2, 1, flows)}, true},
		"the only project waits":      {[]databackend.Stats{of(1, 1, waits), of(1, 2, flows)}, false},
		"one of two projects waits":   {[]databackend.Stats{of(1, 1, waits), of(1, 2, waits), of(1, 3, waits), of(2, 1, flows)}, true},
		"both projects wait":          {[]databackend.Stats{of(1, 1, waits), of(2, 1, waits)}, false},
		"most projects wait":          {[]databackend.Stats{of(1, 1, waits), of(2, 1, waits), of(3, 1, flows)}, false},
		"the database refuses us":     {[]databackend.Stats{of(1, 1, refused), of(2, 1, flows), of(3, 1, flows)}, false},
		"what we cannot tell whose":   {[]databackend.Stats{{Realm: "x", State: waits}, of(2, 1, flows), of(3, 1, flows)}, false},
		"two of five projects wait":   {[]databackend.Stats{of(1, 1, waits), of(2, 1, waits), of(3, 1, flows), of(4, 1, flows), of(5, 1, flows)}, true},
		"three of five projects wait": {[]databackend.Stats{of(1, 1, waits), of(2, 1, waits), of(3, 1, waits), of(4, 1, flows), of(5, 1, flows)}, false},
	} {
		if err := flowing(c.all); (err == nil) != c.ready {
			t.Errorf("%s: %v", name, err)
		}
	}
}
