package quota

// claim is what a project has of the disk and may have.
type claim struct {
	held  int64 // bytes
	quota int64 // bytes; 0: none
	share int64 // what it may have whatever the others store
}

// divide gives each project its share of the bytes that projects can have together. Where there is room for all quotas, its
// quota is its share. Else half of the bytes are shared out in proportion to the quotas, and the other half is for who
// comes. It tells how much the quotas grant together, and what must stay free for the shares.
func divide(claims []claim, bytes int64) (granted, reserved int64) {
	var all, wanted float64
	for _, c := range claims {
		all += float64(c.most(bytes))
		wanted += float64(min(c.most(bytes), bytes)) // one large quota does not take the shares of the others
	}
	part := 1.0
	if all > float64(bytes) {
		part = float64(bytes) / 2 / max(wanted, 1)
	}
	for i := range claims {
		c := &claims[i]
		c.share = int64(float64(min(c.most(bytes), bytes)) * part)
		reserved += max(0, c.share-c.held)
	}
	return int64(min(all, Most)), reserved
}

// most is what a project may have; one without a quota may have everything.
func (c claim) most(bytes int64) int64 {
	if c.quota == 0 {
		return bytes
	}
	return c.quota
}

// claim tells what a project has on the disk that is looked at. Where the tables are elsewhere, that is what has not come to
// them, and exports.
func (a *account) claim(elsewhere bool) claim {
	a.mu.Lock()
	defer a.mu.Unlock()
	return claim{held: a.held(elsewhere), quota: a.limit}
}

// held is what a project has of the disk. The caller holds mu.
func (a *account) held(elsewhere bool) int64 {
	if elsewhere {
		return a.measured.Disk + a.pending
	}
	return a.used() + a.recorded
}

// beyond says that a project has more than its share, or would with some bytes more. The caller holds mu.
func (a *account) beyond(elsewhere bool, bytes int64) bool { return a.held(elsewhere)+bytes > a.share }

// crowds says that a project's logins should add nothing where others want their shares. Those that add nothing already go
// on when the project is clearly below its share, so that they do not come and go.
func (a *account) crowds(elsewhere, already bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if already {
		return a.beyond(elsewhere, a.share/100*slack)
	}
	return a.beyond(elsewhere, 1)
}

// share divides the bytes that are left, and those that projects have, among all projects.
func (q *Quotas) share(free int64) (granted, capacity, reserved int64) {
	all := q.all()
	accounts, claims := make([]*account, 0, len(all)), make([]claim, 0, len(all))
	capacity = free - q.MinFree - q.unseen()
	for _, a := range all {
		c := a.claim(q.Elsewhere)
		accounts, claims = append(accounts, a), append(claims, c)
		capacity += c.held
	}
	capacity = max(0, capacity)
	granted, reserved = divide(claims, capacity)
	for i, a := range accounts {
		a.mu.Lock()
		a.share = claims[i].share
		a.mu.Unlock()
	}
	return granted, capacity, reserved
}
