package cli

import (
	"os"
	"path/filepath"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// seenFolder is where `bulkhead dev` has commands keep what they have seen of its server, in its state directory.
const seenFolder = "seen"

// seenIn gives the folder of what this user has seen of a server: the key of its audit log, and the keys of its devices. That is
// the folder of contexts, where nothing but the user's word removes any of it. What `bulkhead dev` runs has a folder of its own
// beside its keys, and so what was seen goes with the server that it is of: another state directory is another server, at the
// same address too. Only that command, run by the user, writes such a context.
func (inv *invocation) seenIn(c Context) (string, error) {
	if c.Seen == "" {
		contexts, err := OpenContexts(inv.environ)
		return contexts.Dir, err
	}
	if _, err := os.Stat(c.Seen); err != nil { // made here it would stand where a new state directory is to be
		return "", errs.As(wire.Invalid, err, "%s, which remembers what was seen of %s, cannot be read%s", c.Seen, c.Server, c.gone())
	}
	return c.Seen, Contexts{c.Seen}.checkDir()
}

// gone says what to type where the state directory of a dev server is no more.
func (c Context) gone() string {
	dir := filepath.Dir(c.Seen)
	if _, err := os.Stat(dir); c.Seen == "" || err == nil {
		return ""
	}
	return ": the state directory of bulkhead dev is gone; to make it again, type: bulkhead dev --dir " + dir
}
