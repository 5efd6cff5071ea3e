package apart

import "time"

// Hurry has a pool wait for answers so long only.
func Hurry(p *Pool, within time.Duration) { p.within = within }
