package cli

import (
	"os"

	"bulkhead/backend/account/password/apart"
)

// hasher is this program, asked to hash passwords; see server.Options.
func hasher() []string {
	self, err := apart.Self()
	if err != nil {
		return nil // the server does it
	}
	return []string{self, os.Args[0], apart.Command}
}
