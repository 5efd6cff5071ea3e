package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/authn"
	"bulkhead/router/message"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

const (
	// localQueue is how many bytes may wait for a peer in this process. They wait decoded, which is what they are counted as.
	localQueue = 256 << 20
	// localBuffer is how many messages a peer in this process may send ahead.
	localBuffer = 64
	// messageOverhead is what a message is counted for beside its payload.
	messageOverhead = 128
)

// Join gives a peer that is in the realm as p already, for client.NewClient: its HELLO is answered with WELCOME. The peer
// goes on when ctx ends; it ends with its client, its realm or the router.
func (r *Router) Join(ctx context.Context, realm string, p realms.Principal) (wamp.Peer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	re, err := r.realm(realm)
	if err != nil {
		return nil, err
	}
	if re.open != nil || p.Project != re.id.Project || p.Role == "" {
		return nil, errs.E(wire.Invalid, "realm %s is not one of the principal's", realm)
	}
	theirs, ours := linked()
	e := r.newLocal(ours)
	started := r.group.Go(func(ctx context.Context) {
		defer e.end(ctx)
		if m, err := r.admit(e, func() (*member, error) { return r.admitLocal(e, re, p) }); err == nil {
			r.run(m)
		}
	})
	if !started {
		return nil, errShutdown
	}
	return theirs, nil
}

func (r *Router) admitLocal(e *local, re *realm, p realms.Principal) (*member, error) {
	hello, err := receiveHello(e)
	if err != nil {
		return nil, err
	}
	if hello.Realm != re.name {
		return nil, errNoSuchRealm
	}
	return r.enter(e, re, hello, newSessionID(), authn.Grant{Principal: p, Method: "local"})
}

// linked gives the two ends of a connection within this process.
func linked() (theirs, ours *localPeer) {
	up, down := make(chan wamp.Message, localBuffer), make(chan wamp.Message)
	gone := make(chan struct{})
	var once sync.Once
	theirs = &localPeer{recv: down, send: up, close: func() { once.Do(func() { close(gone) }) }}
	ours = &localPeer{recv: up, send: down, close: sync.OnceFunc(func() { close(down) }), gone: gone}
	return theirs, ours
}

// localPeer is one end of a connection within this process.
type localPeer struct {
	recv  <-chan wamp.Message
	send  chan<- wamp.Message
	close func()
	gone  <-chan struct{} // the other end was closed
	// remote says that this stands for a peer elsewhere.
	remote bool
}

func (p *localPeer) Close()                    { p.close() }
func (p *localPeer) IsLocal() bool             { return !p.remote }
func (p *localPeer) Recv() <-chan wamp.Message { return p.recv }
func (p *localPeer) Send() chan<- wamp.Message { return p.send }

// local is the endpoint of a nexus peer, ours or an embedder's.
type local struct {
	peer wamp.Peer
	gone <-chan struct{} // nil where the peer closes its channel instead
	dead chan struct{}   // closed by kill

	outbox  *transport.Outbox // of the one who receives
	details wamp.Dict         // what an embedder says of the transport
	trusted bool              // by the embedder

	mu        sync.Mutex // guards what follows
	queue     []wamp.Message
	bytes     int
	writing   bool
	finishing bool
	killed    bool
	timer     *time.Timer
	quiet     sync.Cond
}

func (r *Router) newLocal(p wamp.Peer) *local {
	e := &local{peer: p, dead: make(chan struct{})}
	e.quiet.L = &e.mu
	if own, ok := p.(*localPeer); ok {
		e.gone = own.gone
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer = time.AfterFunc(r.limits.Handshake, e.kill)
	return e
}

// Peer says that there is no connection.
func (e *local) Peer() transport.Peer {
	return transport.Peer{Protocol: "local", Details: localDetails}
}

var localDetails = message.Dict{"protocol": "local"}

// Join ends the time limit for joining.
func (e *local) Join(transport.Policy, *transport.Budget, *transport.Meter) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer.Stop()
	return !e.killed && !e.finishing
}

// Await says that there may be something to receive.
func (e *local) Await() error { return nil }

// More leaves flushing to Receive.
func (e *local) More() bool { return true }

// Flushes makes Receive flush an outbox before it waits.
func (e *local) Flushes(o *transport.Outbox) { e.outbox = o }

// Receive waits for the peer's next message.
func (e *local) Receive() (message.Message, error) {
	select {
	case m, ok := <-e.peer.Recv(): // what was sent comes before the end
		return e.received(m, ok)
	default:
	}
	e.outbox.FlushToWait()
	select {
	case m, ok := <-e.peer.Recv():
		return e.received(m, ok)
	case <-e.gone:
	case <-e.dead:
	}
	return nil, errLeft
}

func (e *local) received(m wamp.Message, ok bool) (message.Message, error) {
	if !ok || e.isFinishing() {
		return nil, errLeft
	}
	return message.FromNexus(m)
}

func (e *local) isFinishing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.finishing
}

// Outbox gives an outbox that stays empty.
func (e *local) Outbox() transport.Outbox { return transport.Outbox{} }

// SendIn is Send: what is written to a peer in this process costs no system call.
func (e *local) SendIn(_ *transport.Outbox, m message.Message) error { return e.Send(m) }

// DeliverIn is Send: a peer in this process shares no encoding.
func (e *local) DeliverIn(_ *transport.Outbox, p *transport.Parcel) error { return e.Send(p.Message) }

// Send queues a message.
func (e *local) Send(msg message.Message) error {
	m, err := message.ToNexus(msg)
	switch {
	case errors.Is(err, message.ErrWeight):
		return transport.ErrTooLarge
	case err != nil:
		return errs.Wrap("router: local", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.finishing || e.killed:
		return transport.ErrClosed
	case e.bytes > localQueue:
		return transport.ErrFull
	}
	e.push(m, messageOverhead+payload(msg).Weight())
	return nil
}

func (e *local) push(m wamp.Message, size int) {
	e.queue = append(e.queue, m)
	e.bytes += size
	if !e.writing {
		e.writing = true
		go e.write()
	}
}

// write hands on what waits until nothing does. The endpoint's end waits for it.
func (e *local) write() {
	for {
		batch := e.take()
		if batch == nil {
			return
		}
		for _, m := range batch {
			select {
			case e.peer.Send() <- m:
			case <-e.dead:
			}
		}
	}
}

func (e *local) take() []wamp.Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	batch := e.queue
	e.queue, e.bytes = nil, 0
	if batch == nil || e.killed {
		e.writing = false
		e.quiet.Broadcast()
		if e.finishing {
			e.killLocked()
		}
		return nil
	}
	return batch
}

// Finish queues a last message and ends the endpoint when it is taken, or when the time is over.
func (e *local) Finish(last message.Message, within time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finishing || e.killed {
		return
	}
	e.finishing = true
	e.timer.Stop()
	e.timer = time.AfterFunc(within, e.kill)
	if m, err := message.ToNexus(last); err == nil {
		e.push(m, 0)
	}
}

func (e *local) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.killLocked()
}

func (e *local) killLocked() {
	if !e.killed {
		e.killed = true
		e.timer.Stop()
		close(e.dead)
	}
}

// end waits for what a finishing endpoint still writes, closes the peer's channel, and takes what its client still sends until
// the client closes or the router does: a client that sends does not look whether it is heard.
func (e *local) end(ctx context.Context) {
	if !e.isFinishing() {
		e.kill()
	}
	e.mu.Lock()
	for e.writing {
		e.quiet.Wait()
	}
	e.mu.Unlock()
	e.kill()
	e.peer.Close()
	if e.gone == nil {
		return
	}
	for {
		select {
		case <-e.peer.Recv():
		case <-e.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}
