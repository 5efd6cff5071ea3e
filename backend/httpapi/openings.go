package httpapi

import (
	"context"
	"sync"

	"bulkhead/backend/account"
	"bulkhead/wire"
)

// openings are the downloads that are under way. Each was allowed when it began; it is ended when it is not any more.
type openings struct {
	mu   sync.Mutex // guards open
	open map[*opening]struct{}
}

type opening struct {
	by   account.Principal
	flag wire.Flag
	on   Target
	end  context.CancelFunc
}

// begin gives a context that ends when the download is not allowed any more; done is to be called when it is over.
func (o *openings) begin(ctx context.Context, one opening) (_ context.Context, done func()) {
	ctx, one.end = context.WithCancel(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[*opening]struct{}{}
	}
	o.open[&one] = struct{}{}
	return ctx, func() {
		one.end()
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.open, &one)
	}
}

func (o *openings) endWhere(which func(*opening) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for one := range o.open {
		if which(one) {
			one.end()
		}
	}
}

// Reconsider ends the downloads that are not allowed any more.
func (a *API) Reconsider() {
	a.downloads.endWhere(func(one *opening) bool {
		return !a.Authorizer.May(context.Background(), one.by, one.flag, one.on)
	})
}

// EndLogin ends the downloads of a login or API key that has ended.
func (a *API) EndLogin(id string) {
	a.downloads.endWhere(func(one *opening) bool { return one.by.Login == id })
}
