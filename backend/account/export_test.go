package account

// CacheSize is the bound that tests hold the cache to.
const CacheSize = cacheSize

// Remembered tells how many look-ups are remembered.
func Remembered(k *Keys) int {
	k.seen.mu.Lock()
	defer k.seen.mu.Unlock()
	return len(k.seen.entries)
}

// Queued tells how many tickets, used or not, are held in memory.
func Queued(t *Tickets) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(len(t.waiting), len(t.oldest), len(t.held), len(t.within))
}

// QueueLimit bounds Queued.
const QueueLimit = 2 * maxAllTickets

// MadeUpLogin is a token of the form of a login's, which is nobody's.
func MadeUpLogin() string { return string(newCredential().text(LoginPrefix).Reveal()) }
