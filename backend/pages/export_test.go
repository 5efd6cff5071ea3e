package pages

import "time"

// LocalPath is for tests.
var LocalPath = localPath

// SetBodyTimeout is for tests, before the first request.
func SetBodyTimeout(p *Pages, d time.Duration) { p.bodyTimeout = d }
