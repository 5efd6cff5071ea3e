package router

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/router/message"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// errPanic is what a session is told whose message made the router panic.
var errPanic = errs.E(wire.Internal, "internal error")

// join lets a link in and gives what is to be run for it.
func (r *Router) join(l *transport.Link) (session func()) {
	m, err := r.admit(l, func() (*member, error) { return r.admitRemote(l) })
	if err != nil {
		return nil
	}
	return func() { r.run(m) }
}

// run handles a member's messages until it leaves.
func (r *Router) run(m *member) {
	defer r.leaveSafely(m)
	defer m.outbox.Flush()
	m.end.Flushes(&m.outbox)
	for {
		err := m.end.Await()
		if err == nil {
			err = r.step(m)
		}
		if err != nil {
			r.part(m, err)
			return
		}
		m.outbox.Handled(m.end.More())
	}
}

// errLeft ends a session that said GOODBYE, ABORT or nothing.
var errLeft = errors.New("the peer has left")

// step waits for one message and handles it. A panic ends this session and no other.
func (r *Router) step(m *member) (err error) {
	defer r.rescue(m.session.ID(), &err)
	msg, err := m.end.Receive()
	if err != nil {
		return err
	}
	m.realm.class.in[msg.Code()].Add(1)
	switch msg.(type) {
	case *message.Goodbye:
		m.realm.leave(m)
		m.end.Finish(&message.Goodbye{Reason: closeAndOut, Details: message.Dict{}}, r.limits.Write)
		return errLeft
	case *message.Abort:
		return errLeft
	}
	if !m.rate.allow(msg) {
		return m.realm.refuse(m, msg)
	}
	if msg, err = m.ask(msg); msg == nil || err != nil {
		return err
	}
	return m.realm.handle(m, msg)
}

// errSlow is what the log is told of a session that was ended because its queue was full.
var errSlow = errors.New("its queue was full")

// part ends a session for the reason that its last message or the connection gave.
func (r *Router) part(m *member, err error) {
	level := levelOf(err)
	if m.slow.Load() {
		level, err = slog.LevelWarn, errSlow
	}
	r.tell(level, "session ended", m, slog.String(logkey.Reason, err.Error()))
	if !tellable(err) {
		return
	}
	r.leaveSafely(m)
	m.end.Finish(abort(err), r.limits.Linger)
}

// tell writes a log line about a member. The values are of slog's own kinds: formatting others costs more than joining.
func (r *Router) tell(level slog.Level, text string, m *member, more slog.Attr) {
	ctx, to := r.group.Context(), r.log.Handler()
	if !to.Enabled(ctx, level) {
		return
	}
	p := m.session.Principal()
	line := slog.NewRecord(time.Now(), level, text, 0) // nobody asks for its place in the code, which is dear to find out
	line.AddAttrs(
		slog.Uint64(logkey.Session, uint64(m.session.ID())), slog.String(logkey.Realm, m.realm.name),
		slog.String(logkey.AuthID, p.AuthID), slog.String(logkey.Role, string(p.Role)), more)
	_ = to.Handle(ctx, line) // as slog does
}

// tellable reports whether the peer is there to be told of err: connections that broke have nobody at their other end.
func tellable(err error) bool {
	var known *errs.Error
	return errors.As(err, &known)
}

// abort is the ABORT that tells a peer why it may not stay.
func abort(err error) *message.Abort {
	return &message.Abort{Reason: errs.URIOf(err), Details: message.Dict{"message": errs.UserText(err)}}
}

func (r *Router) leaveSafely(m *member) {
	var err error
	defer func() {
		if err != nil { // the core could not even take it out: it gets nothing more
			m.realm.mu.Lock()
			m.realm.remove(m)
			m.realm.mu.Unlock()
		}
	}()
	defer r.rescue(m.session.ID(), &err)
	m.realm.leave(m)
}

// rescue turns a panic into an error. It is to be deferred.
func (r *Router) rescue(session message.ID, err *error) {
	if p := recover(); p != nil {
		r.stats.panics.Add(1)
		r.log.Error("panic while handling a session's message", logkey.Session, session,
			logkey.Error, fmt.Sprint(p), logkey.Stack, string(debug.Stack()))
		*err = errPanic
	}
}
