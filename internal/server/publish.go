package server

import (
	"context"
	"log/slog"
	"time"

	"bulkhead/backend/databackend"
	"bulkhead/backend/rpc"
	"bulkhead/internal/logkey"
	"bulkhead/realms"
	"bulkhead/router"
)

// servedWithin bounds how long a change waits until new realms are served.
const servedWithin = time.Second

// publisher gives each new directory to all who serve realms, in the order in which no row is refused for want of a lane
// and no procedure is missed: ingest, router, the server's own sessions.
type publisher struct {
	ctx      context.Context // ends with the server
	backends *databackend.Backends
	router   *router.Router
	rpc      *rpc.Server
	log      *slog.Logger
	last     *realms.Directory // of the caller, who calls one at a time
}

// Apply puts a directory into force.
func (p *publisher) Apply(d *realms.Directory) {
	for name, entry := range d.Realms() {
		if _, known := p.last.Realm(name); known || entry.Realm.Kind != realms.Data {
			continue
		}
		// A realm whose data cannot be opened is served all the same: rpc tries again, and publishers are told.
		if _, err := p.backends.Open(p.ctx, entry.Realm); err != nil {
			p.log.Error("the data backend of an installation cannot be opened", logkey.Realm, name, logkey.Error, err)
		}
	}
	p.last = d
	p.router.Apply(d)
	p.rpc.Apply(d)
	ctx, cancel := context.WithTimeout(p.ctx, servedWithin)
	defer cancel()
	p.rpc.Await(ctx)
}
