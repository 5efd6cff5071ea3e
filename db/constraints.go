package db

import "bulkhead/db/pgerr"

// meanings has, for each named constraint of the platform's tables that a caller can break, what the caller reads then.
// A test asks the database which constraints there are and fails when one has no line here.
var meanings = pgerr.Meanings{}
