package router

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"

	"bulkhead/internal/logkey"
	"bulkhead/realms"
	"bulkhead/router/authn"
	"bulkhead/router/core"
	"bulkhead/router/message"
	"bulkhead/router/transport"
)

// endpoint is the router's side of a peer: a link, or a peer in this process.
type endpoint interface {
	Await() error // until there is something to receive
	Receive() (message.Message, error)
	More() bool                // the outbox need not be flushed yet
	Flushes(*transport.Outbox) // before Receive waits
	Outbox() transport.Outbox
	Send(message.Message) error
	SendIn(*transport.Outbox, message.Message) error
	DeliverIn(*transport.Outbox, *transport.Parcel) error
	Finish(last message.Message, within time.Duration)
	Join(p transport.Policy, b *transport.Budget, m *transport.Meter) bool
	Peer() transport.Peer
}

var _ endpoint = (*transport.Link)(nil)

// member is a session with its endpoint.
type member struct {
	session    *core.Session
	end        endpoint
	realm      *realm
	credential authn.Credential
	joined     time.Time
	rate       *bucket
	authorizer nexus.Authorizer // nil but in realms of an embedder's
	slow       atomic.Bool      // its queue was full, it is being closed
	present    bool             // among the realm's members; guarded by the realm's mutex
	outbox     transport.Outbox // what follows from its messages; of its reader
}

// realm owns one core.Realm: it serializes the calls to it and carries what comes out.
type realm struct {
	router *Router
	name   string
	id     realms.Realm // zero for a realm of an embedder's
	class  *class
	log    *slog.Logger
	tables tables
	budget *transport.Budget
	large  chan struct{} // a token for each large submission that is being decoded
	open   *openRealm    // set for a realm of an embedder's

	mu          sync.Mutex             // guards what follows
	core        *core.Realm            //
	members     map[message.ID]*member //
	shares      map[party]*share       // of the members
	closed      bool                   //
	outbox      *transport.Outbox      // of the one who calls the core
	leaving     []*member              // whose queues were full during a call of the core
	submissions []submission           // what the core gave to the tables during a call
	timer       *time.Timer            // calls tick
	due         time.Time              // when; zero: not at all
}

// newRealm makes a realm; configure may change the core's configuration.
func (r *Router) newRealm(name string, id realms.Realm, configure func(*core.Config)) *realm {
	re := &realm{
		router: r, name: name, id: id, class: r.stats.class(id.Kind), members: map[message.ID]*member{}, shares: map[party]*share{},
		log: r.log.With(logkey.Realm, name), tables: tablesOf(id), budget: transport.NewBudget(r.limits.RealmBytes),
		large: make(chan struct{}, largeAtOnce),
	}
	c := core.Config{Output: re, Authorize: re.authorize, Disclose: true, Quotas: r.config.Quotas(id.Kind)}
	if r.config.Sink != nil && id.Kind == realms.Data {
		c.Accept = re.accept
	}
	if configure != nil {
		configure(&c)
	}
	re.core = core.NewRealm(c, time.Now())
	re.timer = time.AfterFunc(time.Hour, re.tick)
	re.timer.Stop()
	return re
}

// authorize is the one rule, with the session's identity as the router proved it.
func (re *realm) authorize(s *core.Session, a realms.Action, uri string, m realms.Match) bool {
	start := time.Now()
	ok := realms.May(re.id, s.Principal(), a, uri, m) && re.granted(s.Principal(), a, uri, m)
	re.class.authorized(time.Since(start))
	return ok
}

// join lets a member in and welcomes it.
func (re *realm) join(m *member, welcome *message.Welcome) (err error) {
	outbox := m.end.Outbox()
	re.lockedWith(&outbox, func() {
		budget := re.shareOf(m)
		switch {
		case re.closed:
			err = errNoSuchRealm
		case !re.router.authn.HoldsIn(re.router.directory.Load(), m.credential), !re.admits(m.session.Principal()):
			err = errWithdrawn
		case !m.end.Join(re.policy(m), budget, &re.class.meter):
			err = transport.ErrClosed
		default:
			err = re.core.Join(m.session, m.joined)
		}
		if err != nil {
			re.unshare(m)
			return
		}
		re.members[m.session.ID()], m.present = m, true
		re.class.sessions.Add(1)
		re.class.joins.Add(1)
		if re.Send(m.session, welcome) != nil { // it is larger than the peer takes, or has what an embedder should not put there
			re.remove(m)
			re.core.Leave(m.session, time.Now())
			err = errNotWelcomed
		}
	})
	return err
}

func (re *realm) policy(m *member) transport.Policy {
	return re.router.config.Slow(re.id.Kind, m.session.Principal().Role)
}

// handle gives a message of a member to the core.
func (re *realm) handle(m *member, msg message.Message) error {
	re.mu.Lock()
	if !m.present {
		re.mu.Unlock()
		return transport.ErrClosed
	}
	pending, err := re.handleLocked(m, msg)
	if len(pending) > 0 {
		m.outbox.Flush() // what takes them may take its time
		re.submit(pending)
	}
	return err
}

// handleLocked unlocks, even if the core panics.
func (re *realm) handleLocked(m *member, msg message.Message) ([]submission, error) {
	defer re.mu.Unlock()
	re.outbox = &m.outbox
	err := re.core.Handle(m.session, msg, time.Now())
	return re.settle(), err
}

// locked runs f, which may call the core, with the lock held, and sees to what follows from it.
func (re *realm) locked(f func()) { re.lockedWith(new(transport.Outbox), f) }

func (re *realm) lockedWith(outbox *transport.Outbox, f func()) {
	defer outbox.Flush()
	re.submit(func() []submission {
		re.mu.Lock()
		defer re.mu.Unlock() // even if the core panics
		re.outbox = outbox
		f()
		return re.settle()
	}())
}

// leave takes a member out. Leaving twice is fine.
func (re *realm) leave(m *member) {
	re.locked(func() {
		re.remove(m)
		re.core.Leave(m.session, time.Now())
	})
}

func (re *realm) remove(m *member) {
	if m.present {
		m.present = false
		delete(re.members, m.session.ID())
		re.unshare(m)
		re.class.sessions.Add(-1)
	}
}

// kill ends a session; it reports whether there was one.
func (re *realm) kill(id message.ID, reason, text string) (found bool) {
	re.locked(func() { found = re.core.Kill(id, reason, text, time.Now()) })
	return found
}

// end closes the realm and all its sessions.
func (re *realm) end(reason, text string) {
	defer re.close()
	defer re.router.rescue(0, new(error))
	re.locked(func() {
		re.closed = true
		re.core.KillAll(reason, text, time.Now())
	})
}

// close ends what KillAll has left, which is nothing unless it panicked.
func (re *realm) close() {
	re.mu.Lock()
	defer re.mu.Unlock()
	re.timer.Stop()
	for _, m := range re.members {
		re.remove(m)
		m.end.Finish(nil, re.router.limits.Linger)
	}
}

// recheck ends the sessions whose credentials the directory does not have any more.
func (re *realm) recheck(d *realms.Directory) {
	defer re.router.rescue(0, new(error))
	re.locked(func() {
		for id, m := range re.members {
			if !re.router.authn.HoldsIn(d, m.credential) {
				re.core.Kill(id, closeKilled, "the credential was withdrawn", time.Now())
			}
		}
	})
}

// settle finishes a call of the core: who was found slow leaves, the timer is set, and what is for the tables is returned
// for the caller to submit when it has unlocked.
func (re *realm) settle() []submission {
	for len(re.leaving) > 0 {
		m := re.leaving[len(re.leaving)-1]
		re.leaving = re.leaving[:len(re.leaving)-1]
		re.remove(m)
		re.core.Leave(m.session, time.Now())
	}
	if at, ok := re.core.NextDeadline(); ok && (re.due.IsZero() || at.Before(re.due)) && !re.closed {
		re.due = at
		re.timer.Reset(time.Until(at))
	}
	pending := re.submissions
	re.submissions = nil
	return pending
}

func (re *realm) tick() {
	defer re.router.rescue(0, new(error))
	re.locked(func() {
		re.due = time.Time{}
		if !re.closed {
			re.core.Tick(time.Now())
		}
	})
}

// Send implements core.Output.
func (re *realm) Send(to *core.Session, m message.Message) error {
	at := to.Handle.(*member)
	return re.sent(at, m, at.end.SendIn(re.outbox, m))
}

// Fanout implements core.Output: one encoding for all receivers that share a serializer.
func (re *realm) Fanout(to []*core.Session, e *message.Event) {
	p := transport.Parcel{Message: e}
	for _, s := range to {
		m := s.Handle.(*member)
		_ = re.sent(m, e, m.end.DeliverIn(re.outbox, &p)) // what becomes of it was seen to
	}
	re.class.encoded.Add(uint64(p.Encoded))
	re.class.shared.Add(uint64(p.Shared))
}

// Close implements core.Output.
func (re *realm) Close(s *core.Session, goodbye *message.Goodbye) {
	m := s.Handle.(*member)
	re.remove(m)
	m.end.Finish(goodbye, re.router.limits.Linger)
}

// sent sees to what came of queueing a message.
func (re *realm) sent(m *member, msg message.Message, err error) error {
	switch {
	case err == nil:
		re.class.out[msg.Code()].Add(1)
		return nil
	case errors.Is(err, transport.ErrFull):
		re.overflow(m)
	case errors.Is(err, transport.ErrTooLarge):
		re.class.tooLarge.Add(1)
		if result, ok := msg.(*message.Result); ok {
			_ = m.end.SendIn(re.outbox, failure(message.CodeCall, result.Request, errTooLarge)) // a caller that is gone need not know
		}
		return core.ErrTooLarge
	case !errors.Is(err, transport.ErrClosed):
		re.class.unencodable.Add(1)
		re.log.Error("a message cannot be encoded", logkey.Session, m.session.ID(), logkey.Error, err)
	}
	return core.ErrNotTaken
}

// overflow ends a member that does not take its messages. It leaves when the core's call is over.
func (re *realm) overflow(m *member) {
	if m.slow.Swap(true) {
		return
	}
	re.class.overflows.Add(1)
	goodbye := &message.Goodbye{Reason: closeBackpressure, Details: message.Dict{"message": "messages are not received as fast as they come"}}
	m.end.Finish(goodbye, re.router.limits.Linger)
	re.leaving = append(re.leaving, m)
}
