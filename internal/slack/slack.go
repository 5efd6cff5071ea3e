// Package slack lets the kernel wake a process up to a millisecond late, together with what else it has to do then.
//
// Go's runtime watches over its threads from one that sleeps 20 µs at a time while the process is neither busy nor idle, which
// is how a server spends its days: waking up for nothing was a tenth of what a join costs.
//
// It promises that the process is the same one afterwards, with its arguments, its environment and its files; that what the
// operator sets (TimerSlackNSec= of systemd) is left alone; and that a system which does not have this, or forbids it, loses
// nothing but the gain.
package slack

import "time"

// Enough is what Take asks for. More does not help.
const Enough = time.Millisecond
