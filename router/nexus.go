package router

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/stdlog"
	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/realms"
	"bulkhead/router/core"
	"bulkhead/wire"
)

// Nexus is a Router with the interface of nexus's, so that what attaches to a nexus router attaches to ours. The realms that
// it adds are the embedder's own: they authenticate and authorize by its rules, and the directory does not know them.
//
// It differs from nexus on purpose: a peer in this process is trusted only where TrustLocal says so; what a client says in
// HELLO does not become details of its session; an authorizer may change a message, but not a session.
type Nexus struct {
	*Router
	trustLocal bool
}

var _ nexus.Router = (*Nexus)(nil)

// NexusOption changes a Nexus.
type NexusOption func(*Nexus)

// TrustLocal lets peers of this process join without authentication and do all without authorization, in realms whose
// configuration does not require either, as nexus does.
func TrustLocal(n *Nexus) { n.trustLocal = true }

// NewNexus gives r the interface of a nexus router.
func NewNexus(r *Router, options ...NexusOption) *Nexus {
	n := &Nexus{Router: r}
	for _, o := range options {
		o(n)
	}
	return n
}

// Attach lets a peer join, and returns when it has been welcomed or refused.
func (n *Nexus) Attach(p wamp.Peer) error { return n.AttachClient(p, nil) }

// AttachClient is Attach with details of the transport, which the realm's authenticators are shown.
func (n *Nexus) AttachClient(p wamp.Peer, transportDetails wamp.Dict) error {
	e := n.newLocal(p)
	e.details, e.trusted = transportDetails, n.trustLocal && p.IsLocal()
	joined := make(chan error, 1)
	started := n.group.Go(func(ctx context.Context) {
		defer e.end(ctx)
		m, err := n.admit(e, func() (*member, error) { return n.admitRemote(e) })
		joined <- err
		if err == nil {
			n.run(m)
		}
	})
	if !started {
		p.Close()
		return errShutdown
	}
	return <-joined
}

// AddRealm adds a realm of the embedder's.
func (n *Nexus) AddRealm(c *nexus.RealmConfig) error {
	open, err := newOpenRealm(c)
	if err != nil {
		return errs.Wrap("router: add realm", err)
	}
	name := string(c.URI)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errShutdown
	}
	if _, ok := n.realms[name]; ok {
		return errs.E(wire.Conflict, "realm %s exists already", name)
	}
	re := n.newRealm(name, realms.Realm{}, open.configure)
	re.open = open
	n.realms[name] = re
	n.log.Info("realm added", logkey.Realm, name)
	return nil
}

// RemoveRealm ends a realm of the embedder's, and its sessions. Those of the directory stay.
func (n *Nexus) RemoveRealm(name wamp.URI) {
	n.mu.Lock()
	re, ok := n.realms[string(name)]
	ok = ok && re.open != nil
	if ok {
		delete(n.realms, string(name))
	}
	n.mu.Unlock()
	if ok {
		re.end(closeRealm, "the realm was removed")
		n.log.Info("realm removed", logkey.Realm, re.name)
	}
}

// Close ends the router and waits until its sessions have ended.
func (n *Nexus) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*n.limits.Linger)
	defer cancel()
	if err := n.Router.Close(ctx); err != nil {
		n.log.Error("the router did not close in time", logkey.Error, err)
	}
}

// Logger gives the router's log in the form that nexus uses.
func (n *Nexus) Logger() stdlog.StdLog { return nexusLog{n.log} }

// RouterFeatures tells what the router announces in WELCOME.
func (n *Nexus) RouterFeatures() *wamp.Dict {
	d := wamp.NormalizeDict(wamp.Dict{"roles": core.Features()})
	return &d
}

// nexusLog writes a slog as nexus expects.
type nexusLog struct{ log *slog.Logger }

func (l nexusLog) Print(v ...any)                 { l.log.Info(fmt.Sprint(v...)) }
func (l nexusLog) Println(v ...any)               { l.log.Info(strings.TrimSpace(fmt.Sprintln(v...))) }
func (l nexusLog) Printf(format string, v ...any) { l.log.Info(fmt.Sprintf(format, v...)) }
