package remote

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const (
	// entryLife is how long somebody may take from where they proved who they are to the site.
	entryLife = 2 * time.Minute
	// Browsers at once at one site, and entries that were not used: the oldest go.
	maxVisits  = 16
	maxEntries = 16
)

// site is a web application as browsers see it: under a host name of its own, for who asked for the tunnel alone. Guarded by
// Remote.mu.
type site struct {
	name    string // the first label of the host name
	streams int    // at once
	entries map[[sha256.Size]byte]permit
	visits  map[[sha256.Size]byte]permit
}

// permit is what an entry or a cookie stands for.
type permit struct {
	login string // it ends with that
	at    time.Time
	ended chan struct{} // of a visit: closed when it ends
}

func newSite(t Tunnel) *site {
	if !t.Target.Protocol.Web() {
		return nil
	}
	return &site{name: strings.ToLower(rand.Text()), entries: map[[sha256.Size]byte]permit{}, visits: map[[sha256.Size]byte]permit{}}
}

// Visit is a browser that was let in.
type Visit struct {
	Tunnel  string
	Target  wire.Target
	Streams int             // at once, of all visits together
	Ended   <-chan struct{} // the tunnel may end before
}

// errNoSite is the one answer to what is not there, was once, or is another's.
var errNoSite = errs.E(wire.NotFound, "there is no tunnel of yours here, or it has ended")

// Site tells what a site shows, to the one who may see it. That another asks is put on record.
func (r *Remote) Site(ctx context.Context, by audit.Actor, name string) (Tunnel, error) {
	one, ok := r.siteOf(name)
	if !ok {
		return Tunnel{}, errNoSite
	}
	if (Requester{Actor: by}).same(one.tunnel.By) {
		return one.tunnel, nil
	}
	refused := r.refuse(ctx, by, one.tunnel, errs.E(wire.Denied, "a tunnel is used by who asked for it"))
	if errs.KindOf(refused) != wire.Denied {
		return Tunnel{}, refused
	}
	return Tunnel{}, errNoSite
}

// Invite lets who asked for a tunnel enter its site with a browser, once and soon. It gives the whole URL.
func (r *Remote) Invite(ctx context.Context, by Requester, name string) (secret.Value, error) {
	t, err := r.Site(ctx, by.Actor, name)
	switch {
	case err != nil:
		return secret.Value{}, err
	case !by.Fresh || by.Login == "":
		return secret.Value{}, errStale
	default:
		return r.invite(t.ID, by.Login)
	}
}

func (r *Remote) invite(id, login string) (secret.Value, error) {
	word := rand.Text() + rand.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.live[id]
	if one == nil || one.site == nil {
		return secret.Value{}, errNoSite
	}
	if one.site.streams == 0 {
		return secret.Value{}, errs.E(wire.Unavailable, "the device is on its way: try again")
	}
	drop(one.site.entries, maxEntries)
	one.site.entries[sha256.Sum256([]byte(word))] = permit{login: login, at: r.now()}
	return secret.FromString(r.SiteURL(one.site.name) + wire.TunnelPathEnter + "?entry=" + word), nil
}

// drop makes room for one more.
func drop(permits map[[sha256.Size]byte]permit, most int) {
	for len(permits) >= most {
		var oldest [sha256.Size]byte
		var at time.Time
		for hash, p := range permits {
			if at.IsZero() || p.at.Before(at) {
				oldest, at = hash, p.at
			}
		}
		remove(permits, oldest)
	}
}

func remove(permits map[[sha256.Size]byte]permit, hash [sha256.Size]byte) {
	if ended := permits[hash].ended; ended != nil {
		close(ended)
	}
	delete(permits, hash)
}

// Enter trades an entry, which is used up, for what opens the site from then on. It is on record before that is given.
func (r *Remote) Enter(ctx context.Context, name, entered, address string) (secret.Value, error) {
	one, p, ok := r.redeem(name, sha256.Sum256([]byte(entered)))
	if !ok || !one.by.Still(ctx) {
		return secret.Value{}, errs.E(wire.Unauthenticated, "the way in was used, or is too old")
	}
	by := one.by.Actor
	by.Session, by.Address, by.RequestID = p.login, address, ""
	if err := r.Store.Record(ctx, entry(by, audit.TunnelEnter, one.tunnel)); err != nil {
		return secret.Value{}, errs.Wrap("remote: enter", err)
	}
	cookie := rand.Text() + rand.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.live[one.tunnel.ID]
	if now == nil {
		return secret.Value{}, errNoSite
	}
	drop(now.site.visits, maxVisits)
	now.site.visits[sha256.Sum256([]byte(cookie))] = permit{login: p.login, at: r.now(), ended: make(chan struct{})}
	return secret.FromString(cookie), nil
}

// redeem takes an entry. It is gone whatever becomes of it.
func (r *Remote) redeem(name string, hash [sha256.Size]byte) (live, permit, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.live[r.sites[name]]
	if one == nil {
		return live{}, permit{}, false
	}
	p, ok := one.site.entries[hash]
	delete(one.site.entries, hash)
	return *one, p, ok && r.now().Sub(p.at) < entryLife
}

// Visit finds who a cookie of a site stands for; kind Unauthenticated where nobody is, NotFound where there is no such site.
func (r *Remote) Visit(name, cookie string) (Visit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.live[r.sites[name]]
	if one == nil {
		return Visit{}, errNoSite
	}
	p, ok := one.site.visits[sha256.Sum256([]byte(cookie))]
	if !ok {
		return Visit{}, errs.E(wire.Unauthenticated, "log in to see this")
	}
	return Visit{Tunnel: one.tunnel.ID, Target: one.tunnel.Target, Streams: one.site.streams, Ended: p.ended}, nil
}

// SiteOf gives the URL under which a live tunnel's web application is served, "" where there is none. It opens nothing by
// itself.
func (r *Remote) SiteOf(id string) string {
	one, ok := r.get(id)
	if !ok || one.site == nil {
		return ""
	}
	return r.SiteURL(one.site.name)
}

func (r *Remote) siteOf(name string) (live, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.live[r.sites[name]]
	if one == nil {
		return live{}, false
	}
	return *one, true
}

// endVisits ends what was entered for a login.
func (r *Remote) endVisits(login string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.live {
		if one.site != nil {
			one.site.end(func(p permit) bool { return p.login == login })
		}
	}
}

// end ends visits and entries.
func (s *site) end(which func(permit) bool) {
	for _, permits := range []map[[sha256.Size]byte]permit{s.entries, s.visits} {
		for hash, p := range permits {
			if which(p) {
				remove(permits, hash)
			}
		}
	}
}
