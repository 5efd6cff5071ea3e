package httpapi

import (
	"net/http"
	"sync"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// places bound what is done at once, for all together and for each. Where half of them are taken, each may have much fewer:
// few do not take what the others need.
type places struct {
	all, each, crowded int

	mu    sync.Mutex // guards what follows
	taken int
	by    map[wire.Key]int
}

var (
	errCrowd = errs.E(wire.Unavailable, "the server has too many requests at once: try again in a second")
	errOwn   = errs.E(wire.Exhausted, "too many of your requests are under way at once: wait until some are answered")
)

// take gives a place, which is to be given back. It says whether it is for all that none is left, or for who asks.
func (p *places) take(who wire.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := p.each
	if p.taken >= p.all/2 {
		most = p.crowded
	}
	switch {
	case p.taken >= p.all:
		return errCrowd
	case p.by[who] >= most:
		return errOwn
	}
	if p.by == nil {
		p.by = map[wire.Key]int{}
	}
	p.taken++
	p.by[who]++
	return nil
}

func (p *places) give(who wire.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[who]--; p.by[who] == 0 {
		delete(p.by, who)
	}
}

// placed gives whom the server knows a place while it reads what they send, and works for them. Who sends or reads slowly
// keeps one that others of the same name need, and nobody else's.
func (a *API) placed(next http.Handler, w http.ResponseWriter, r *http.Request) {
	who := requestOf(r.Context()).principal.Key
	if err := a.requests.take(who); err != nil {
		w.Header().Set("Retry-After", "1")
		a.logged(r.Context(), "admit", err)
		write(w, problemOf(r.Context(), err))
		return
	}
	defer a.requests.give(who)
	next.ServeHTTP(w, r)
}
