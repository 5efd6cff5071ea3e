package apart

import "time"

// Hurry sets how long a pool waits for an answer.
func Hurry(p *Pool, within time.Duration) { p.within = within }
