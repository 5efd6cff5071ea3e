package router

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/router/authn"
	"bulkhead/router/core"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// maxMethods is how many of the authentication methods that a peer offers are looked at.
const maxMethods = 16

// admit lets a peer in, or tells it why not.
func (r *Router) admit(e endpoint, how func() (*member, error)) (*member, error) {
	m, err := r.admitSafely(how)
	if err == nil {
		r.tell(slog.LevelInfo, "session joined", m, slog.String(logkey.Addr, e.Peer().Addr))
		return m, nil
	}
	r.stats.refused(refusal(err))
	r.log.Log(r.group.Context(), levelOf(err), "join refused", logkey.Addr, e.Peer().Addr, logkey.Error, err.Error())
	if tellable(err) {
		e.Finish(abort(err), r.limits.Linger)
	}
	return nil, err
}

func (r *Router) admitSafely(how func() (*member, error)) (m *member, err error) {
	defer r.rescue(0, &err)
	return how()
}

// admitRemote takes a peer through HELLO, CHALLENGE and AUTHENTICATE to WELCOME. What the peer says of itself is used to find out
// who it is and what it can do, and is then forgotten.
func (r *Router) admitRemote(e endpoint) (*member, error) {
	hello, err := receiveHello(e)
	if err != nil {
		return nil, err
	}
	re, err := r.realm(hello.Realm)
	if err != nil {
		return nil, err
	}
	if re.open != nil {
		return r.admitOpen(e, re, hello)
	}
	q, err := readHello(hello)
	if err != nil {
		return nil, err
	}
	peer := e.Peer()
	q.Session, q.Network, q.Certificate = newSessionID(), peer.Network, peer.Certificate
	g, err := r.prove(e, q)
	if err != nil {
		return nil, err
	}
	return r.enter(e, re, hello, q.Session, g)
}

// receiveHello waits for the first message, which must be HELLO.
func receiveHello(e endpoint) (*message.Hello, error) {
	first, err := e.Receive()
	if err != nil {
		return nil, err
	}
	hello, ok := first.(*message.Hello)
	if !ok {
		return nil, violation("the first message is not HELLO")
	}
	return hello, nil
}

// readHello takes from a HELLO all that authentication needs, and checks its types.
func readHello(h *message.Hello) (authn.Request, error) {
	q := authn.Request{Realm: h.Realm}
	if err := checkRoles(h); err != nil {
		return q, err
	}
	var ok bool
	if q.AuthID, ok = text(h.Details["authid"]); !ok {
		return q, violation("HELLO: authid is not a text")
	}
	methods, ok := h.Details["authmethods"].([]any)
	if h.Details["authmethods"] != nil && !ok {
		return q, violation("HELLO: authmethods is not a list")
	}
	for _, v := range methods[:min(len(methods), maxMethods)] {
		name, ok := v.(string)
		if !ok {
			return q, violation("HELLO: authmethods has what is not a text")
		}
		q.Methods = append(q.Methods, name)
	}
	q.Extra, _ = h.Details["authextra"].(message.Dict)
	return q, nil
}

// text reads an optional text.
func text(v any) (s string, ok bool) {
	if v == nil {
		return "", true
	}
	s, ok = v.(string)
	return s, ok
}

// checkRoles wants a client that says that it is one.
func checkRoles(h *message.Hello) error {
	if len(h.Roles) > 0 {
		return nil
	}
	return &errs.Error{Kind: wire.Invalid, URI: noSuchRole, User: "HELLO announces none of the roles publisher, subscriber, caller, callee"}
}

// prove challenges the peer and checks its answer.
func (r *Router) prove(e endpoint, q authn.Request) (authn.Grant, error) {
	x, err := r.authn.Begin(q)
	if err != nil {
		return authn.Grant{}, err
	}
	var reply *message.Authenticate
	if x.Challenge != nil {
		if reply, err = challenge(e, x.Challenge); err != nil {
			return authn.Grant{}, err
		}
	}
	g, err := x.Answer(r.group.Context(), reply)
	if err != nil {
		return authn.Grant{}, errs.Wrap("authid "+quote(q.AuthID)+" in "+quote(q.Realm), err)
	}
	return g, nil
}

// enter makes a proven principal a member.
func (r *Router) enter(e endpoint, re *realm, h *message.Hello, id message.ID, g authn.Grant) (*member, error) {
	m := &member{end: e, realm: re, credential: g.Credential, joined: time.Now()}
	m.session = core.NewSession(id, g.Principal, core.Details{
		AuthMethod: g.Method, AuthProvider: authn.Provider, Features: core.FeaturesOf(h.Roles),
		Transport: e.Peer().Details,
	})
	m.session.Handle = m
	if r.config.Rates != nil {
		m.rate = newBucket(r.config.Rates(re.id.Kind, g.Principal.Role), m.joined)
	}
	if err := re.join(m, welcome(m, g.Extra)); err != nil {
		return nil, err
	}
	return m, nil
}

// features is what every WELCOME announces.
var features = func() *message.Fixed {
	f, err := message.NewFixed(core.Features())
	if err != nil {
		panic(err) // a constant of the core's cannot be encoded
	}
	return f
}()

func welcome(m *member, extra message.Dict) *message.Welcome {
	p, d := m.session.Principal(), m.session.Details()
	w := &message.Welcome{Session: m.session.ID(), Admission: message.Admission{
		Realm: m.realm.name, AuthID: p.AuthID, AuthRole: string(p.Role), AuthMethod: d.AuthMethod, AuthProvider: d.AuthProvider,
		Roles: features,
	}}
	if extra != nil {
		w.Details = message.Dict{"authextra": extra}
	}
	return w
}

// newSessionID draws an id from 1 to 2^53.
func newSessionID() message.ID {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return message.ID(binary.BigEndian.Uint64(b[:])>>11) + 1
}

func violation(text string) error { return &message.ProtocolError{Reason: text} }

// quote makes what a stranger sent fit for an error's text.
func quote(s string) string {
	const most = 80
	return strconv.Quote(s[:min(len(s), most)])
}

// refusal names the reason of a refused join for the metrics: one of a fixed set.
func refusal(err error) string {
	if !tellable(err) {
		return "gone"
	}
	return reasonOf(errs.URIOf(err))
}

// levelOf is the level of a log line about err: what peers do wrong is no error of ours.
func levelOf(err error) slog.Level {
	var known *errs.Error
	if !errors.As(err, &known) {
		return slog.LevelInfo
	}
	return min(errs.Of(known.Kind).Level, slog.LevelError)
}
