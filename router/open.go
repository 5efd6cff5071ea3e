package router

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/realms"
	"bulkhead/router/core"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// openRealm is what an embedder's realm is configured with.
type openRealm struct {
	config         nexus.RealmConfig
	authenticators map[string]auth.Authenticator
	history        []core.HistoryRule
}

func newOpenRealm(c *nexus.RealmConfig) (*openRealm, error) {
	name := string(c.URI)
	_, errName := realms.Parse(name)
	switch {
	case !c.URI.ValidURI(c.StrictURI, ""):
		return nil, errs.E(wire.Invalid, "%q is not a realm's name", name)
	case errName == nil:
		return nil, errs.E(wire.Invalid, "%s is a name for realms of the directory", name)
	case c.PublishFilterFactory != nil:
		return nil, errs.E(wire.Invalid, "a publish filter is not supported")
	case c.EnableMetaModify:
		return nil, errs.E(wire.Invalid, "wamp.session.modify_details is not supported: details are what was proved")
	}
	o := &openRealm{config: *c, authenticators: map[string]auth.Authenticator{}}
	for _, a := range c.Authenticators {
		o.authenticators[a.AuthMethod()] = a
	}
	if _, ok := o.authenticators[anonymous]; c.AnonymousAuth && !ok {
		o.authenticators[anonymous] = &auth.AnonymousAuth{AuthRole: anonymous}
	}
	for _, h := range c.TopicEventHistoryConfigs {
		m, err := matchOf(h.MatchPolicy)
		if err != nil {
			return nil, err
		}
		o.history = append(o.history, core.HistoryRule{Match: m, Topic: string(h.Topic), Events: h.Limit})
	}
	return o, nil
}

const anonymous = "anonymous"

func matchOf(policy string) (realms.Match, error) {
	switch policy {
	case "", wamp.MatchExact:
		return realms.Exact, nil
	case wamp.MatchPrefix:
		return realms.Prefix, nil
	case wamp.MatchWildcard:
		return realms.Wildcard, nil
	default:
		return 0, errs.E(wire.Invalid, "%q is not a way to match", policy)
	}
}

// configure makes a core's configuration that of the realm.
func (o *openRealm) configure(c *core.Config) {
	c.Disclose, c.StrictURIs, c.History = false, o.config.StrictURI, o.history
	c.MayKnow = func(_, _ *core.Session) bool { return true }
	c.Authorize = func(_ *core.Session, a realms.Action, uri string, _ realms.Match) bool {
		// The embedder's authorizer was asked before, where it may take its time.
		return a != realms.Call || o.config.EnableMetaKill || !strings.HasPrefix(uri, "wamp.session.kill")
	}
}

// admitOpen lets a peer into an embedder's realm by the embedder's authenticators.
func (r *Router) admitOpen(e endpoint, re *realm, h *message.Hello) (*member, error) {
	if err := checkRoles(h); err != nil {
		return nil, err
	}
	id := newSessionID()
	w, err := re.open.welcome(r.group, e, h, id)
	if err != nil {
		return nil, err
	}
	authid, _ := wamp.AsString(w.Details["authid"])
	authrole, _ := wamp.AsString(w.Details["authrole"])
	method, _ := wamp.AsString(w.Details["authmethod"])
	provider, _ := wamp.AsString(w.Details["authprovider"])
	m := &member{end: e, realm: re, joined: time.Now()}
	m.session = core.NewSession(id, realms.Principal{Role: realms.Role(authrole), AuthID: authid}, core.Details{
		AuthMethod: method, AuthProvider: provider, Features: core.FeaturesOf(h.Roles),
		Transport: e.Peer().Details,
	})
	m.session.Handle = m
	if re.open.config.Authorizer != nil && !(trusted(e) && !re.open.config.RequireLocalAuthz) {
		m.authorizer = re.open.config.Authorizer
	}
	out := welcome(m, nil)
	out.Details = maps.Clone(message.Dict(w.Details)) // what an authenticator adds
	for _, said := range []string{"realm", "authid", "authrole", "authmethod", "authprovider", "roles"} {
		delete(out.Details, said)
	}
	if err := re.join(m, out); err != nil {
		return nil, err
	}
	return m, nil
}

func trusted(e endpoint) bool {
	l, ok := e.(*local)
	return ok && l.trusted
}

// welcome authenticates a peer.
func (o *openRealm) welcome(g *lifecycle.Group, e endpoint, h *message.Hello, id message.ID) (*wamp.Welcome, error) {
	details := wamp.NormalizeDict(h.All())
	if l, ok := e.(*local); ok && len(l.details) > 0 {
		details["transport"] = l.details
	}
	if trusted(e) && !o.config.RequireLocalAuth {
		authid, ok := details["authid"].(string)
		if !ok || authid == "" {
			authid = strconv.FormatUint(uint64(newSessionID()), 16)
		}
		return &wamp.Welcome{Details: wamp.Dict{"authid": authid, "authrole": "trusted", "authmethod": "local", "authprovider": "static"}}, nil
	}
	a := o.authenticator(details)
	if a == nil {
		return nil, &errs.Error{Kind: wire.Unauthenticated, URI: "wamp.error.no_auth_method", User: "none of the offered authentication methods is available"}
	}
	w, err := converse(g, e, func(p wamp.Peer) (*wamp.Welcome, error) { return a.Authenticate(wamp.ID(id), details, p) })
	if err != nil {
		return nil, errs.As(wire.Unauthenticated, err, "authentication failed")
	}
	if w == nil || w.Details == nil {
		w = &wamp.Welcome{Details: wamp.Dict{}}
	}
	w.Details["authmethod"] = a.AuthMethod()
	return w, nil
}

// authenticator is that of the first of the client's methods that there is.
func (o *openRealm) authenticator(details wamp.Dict) auth.Authenticator {
	methods, _ := wamp.AsList(details["authmethods"])
	if len(methods) == 0 {
		methods = wamp.List{anonymous}
	}
	for _, v := range methods[:min(len(methods), maxMethods)] {
		name, _ := wamp.AsString(v)
		if a, ok := o.authenticators[name]; ok {
			return a
		}
	}
	return nil
}

// converse lets an authenticator talk to an endpoint through channels, as it is used to: it sends, then it receives.
func converse(g *lifecycle.Group, e endpoint, authenticate func(wamp.Peer) (*wamp.Welcome, error)) (*wamp.Welcome, error) {
	up, down := make(chan wamp.Message, 1), make(chan wamp.Message, 1)
	defer close(up) // an authenticator that still waits for the peer fails
	_, here := e.(*local)
	p := &localPeer{recv: up, send: down, close: func() {}, remote: !here}
	var w *wamp.Welcome
	var err error
	done := make(chan struct{})
	started := g.Go(func(context.Context) {
		defer close(done)
		defer func() {
			if recover() != nil {
				err = errPanic
			}
		}()
		w, err = authenticate(p)
	})
	if !started {
		return nil, errShutdown
	}
	for {
		select {
		case <-done:
			return w, err
		case m := <-down:
			reply, err := exchange(e, m)
			if err != nil {
				return nil, err
			}
			up <- reply
		}
	}
}

func exchange(e endpoint, m wamp.Message) (wamp.Message, error) {
	out, err := message.FromNexus(m)
	if err != nil {
		return nil, err
	}
	if err := e.Send(out); err != nil {
		return nil, err
	}
	reply, err := e.Receive()
	if err != nil {
		return nil, err
	}
	return message.ToNexus(reply)
}

// ask has the embedder's authorizer decide about a message, on its session's own goroutine: however long it takes, no other
// session waits. It gives the message as the authorizer left it; nil where it was refused.
func (m *member) ask(msg message.Message) (message.Message, error) {
	if o := m.realm.open; o != nil && !o.config.AllowDisclose && wantsDisclosure(msg) {
		return nil, m.refused(msg, &errs.Error{Kind: wire.Denied, URI: string(wamp.ErrOptionDisallowedDiscloseMe), User: "nobody is disclosed here"})
	}
	if m.authorizer == nil || !slices.Contains(authorized, msg.Code()) {
		return msg, nil
	}
	asked, err := message.ToNexus(msg)
	if err != nil {
		return nil, err
	}
	m.outbox.Flush() // nobody waits for an authorizer
	ok, err := m.authorizer.Authorize(m.nexusSession(), asked)
	if ok && err == nil {
		ok, err = m.askTestament(asked)
	}
	switch {
	case err != nil:
		return nil, m.refused(msg, &errs.Error{Kind: wire.Denied, URI: string(wamp.ErrAuthorizationFailed), User: "it could not be decided whether this is allowed", Err: err})
	case !ok:
		return nil, m.refused(msg, errs.E(wire.Denied, "not allowed"))
	}
	return message.FromNexus(asked)
}

// askTestament asks about the publication that a testament will be: who may not publish now may not when it is gone.
func (m *member) askTestament(msg wamp.Message) (bool, error) {
	call, ok := msg.(*wamp.Call)
	if !ok || call.Procedure != wamp.MetaProcSessionAddTestament || len(call.Arguments) == 0 {
		return true, nil
	}
	topic, _ := wamp.AsURI(call.Arguments[0])
	return m.authorizer.Authorize(m.nexusSession(), &wamp.Publish{Request: call.Request, Options: wamp.Dict{}, Topic: topic})
}

func (m *member) nexusSession() *wamp.Session {
	s, p := m.session, m.session.Principal()
	return &wamp.Session{ID: wamp.ID(s.ID()), Details: wamp.Dict{
		"session": wamp.ID(s.ID()), "authid": p.AuthID, "authrole": string(p.Role), "authmethod": s.Details().AuthMethod,
		"authprovider": s.Details().AuthProvider,
	}}
}

func wantsDisclosure(msg message.Message) bool {
	switch msg := msg.(type) {
	case *message.Publish:
		return msg.Options.DiscloseMe
	case *message.Call:
		return msg.Options.DiscloseMe
	default:
		return false
	}
}

// authorized are the messages that an authorizer is asked about.
var authorized = []message.Code{
	message.CodePublish, message.CodeSubscribe, message.CodeUnsubscribe, message.CodeRegister, message.CodeUnregister,
	message.CodeCall, message.CodeCancel,
}

// refused tells the peer that its message was not authorized, if it expects an answer.
func (m *member) refused(msg message.Message, err error) error {
	id, answered, _ := requestOf(msg)
	if !answered {
		return nil
	}
	return m.end.Send(failure(msg.Code(), id, err))
}
