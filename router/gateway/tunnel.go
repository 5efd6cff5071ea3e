package gateway

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"bulkhead/internal/logkey"
	"bulkhead/internal/mux"
)

const (
	// look is how often limits are looked at and streams are told of.
	look = 500 * time.Millisecond
	// tellTimeout bounds what Events may take once a tunnel is over.
	tellTimeout = 5 * time.Second
	// step is how much goes through at once where there is a rate.
	step = 16 << 10
	// What the gateway keeps of streams that are not read.
	window = 16 << 20
	memory = 32 << 20
)

// tunnel is one pair of ends.
type tunnel struct {
	gateway *Gateway
	pass    Pass
	tickets [2][sha256.Size]byte // guarded by gateway.mu
	user    chan *websocket.Conn
	device  chan *websocket.Conn
	ctx     context.Context // ends when the tunnel is to end
	stop    context.CancelFunc
	expires atomic.Int64 // Unix nanoseconds
	there   way          // from the user to the device
	back    way
	active  atomic.Int64 // when bytes last went through, Unix nanoseconds
	open    atomic.Int64
	begun   atomic.Int64 // streams
	inside  *inside      // the user's end where it is in this process, else nil

	mu     sync.Mutex // guards what follows
	reason Reason     // of the end; "" while it goes on
	gone   bool       // nobody takes ends any more
}

// way is one direction.
type way struct {
	bytes   atomic.Int64
	limiter *rate.Limiter // nil: no limit
}

func newTunnel(g *Gateway, p Pass) *tunnel {
	t := &tunnel{gateway: g, pass: p, user: make(chan *websocket.Conn, 1), device: make(chan *websocket.Conn, 1)}
	t.ctx, t.stop = context.WithCancel(context.Background())
	t.expires.Store(p.Expires.UnixNano())
	if p.Inside {
		t.inside = newInside(t)
	}
	if p.Rate > 0 {
		burst := int(max(step, min(p.Rate/8, 1<<20)))
		t.there.limiter, t.back.limiter = rate.NewLimiter(rate.Limit(p.Rate), burst), rate.NewLimiter(rate.Limit(p.Rate), burst)
	}
	return t
}

// end has the tunnel end; the first reason counts.
func (t *tunnel) end(why Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reason == "" {
		t.reason = why
		t.stop()
	}
}

// join hands an end over. There is room, because each ticket works once.
func (t *tunnel) join(of end, ws *websocket.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		_ = ws.Close()
		return
	}
	if of == userEnd {
		t.user <- ws
	} else {
		t.device <- ws
	}
}

// run is the life of a tunnel.
func (t *tunnel) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { t.end(Shutdown) })
	defer stop()
	began := t.meet()
	t.gateway.forget(t)
	t.turnAway()
	t.mu.Lock()
	closing := Closing{Reason: t.reason, Began: began}
	t.mu.Unlock()
	used := t.usage()
	closing.Sent, closing.Received, closing.Streams = used.Sent, used.Received, used.Streams
	if !began.IsZero() {
		closing.Duration = time.Since(began)
	}
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	t.gateway.config.Events.Closed(telling, t.pass.ID, closing)
}

// turnAway closes what came too late.
func (t *tunnel) turnAway() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = true
	for _, waiting := range []chan *websocket.Conn{t.user, t.device} {
		select {
		case ws := <-waiting:
			_ = ws.Close()
		default:
		}
	}
}

// meet waits for both ends and has them talk. It gives when they met, zero where they did not.
func (t *tunnel) meet() time.Time {
	var user, device *websocket.Conn
	defer func() {
		for _, ws := range []*websocket.Conn{user, device} {
			if ws != nil {
				_ = ws.Close()
			}
		}
	}()
	late := time.NewTimer(t.gateway.config.JoinWithin)
	defer late.Stop()
	for user == nil && t.inside == nil || device == nil {
		select {
		case user = <-t.user:
		case device = <-t.device:
		case <-late.C:
			t.end(NotJoined)
			return time.Time{}
		case <-t.ctx.Done():
			return time.Time{}
		}
	}
	return t.talk(user, device)
}

// talk puts the opening on record and then, not before, reads from the ends.
func (t *tunnel) talk(userSocket, deviceSocket *websocket.Conn) time.Time {
	if err := t.gateway.config.Events.Opened(t.ctx, t.pass.ID); err != nil {
		t.gateway.log(t).Error("the opening of a tunnel cannot be put on record, so it does not open", logkey.Error, err)
		t.end(NotOnBook)
		return time.Time{}
	}
	ping := t.gateway.config.Ping
	device, err := mux.Client(deviceSocket, mux.Config{Upgraded: true, Window: window, Budget: memory, Ping: ping})
	sessions := []mux.Session{device}
	if err == nil && t.inside == nil {
		var user mux.Session
		user, err = mux.Server(userSocket, mux.Config{Upgraded: true, Streams: t.pass.MaxStreams, Window: window, Budget: memory, Ping: ping})
		sessions = append(sessions, user)
	}
	began := time.Now()
	if err == nil {
		t.active.Store(began.UnixNano())
		t.serve(sessions)
	} else {
		t.end(Shutdown)
	}
	for _, session := range sessions {
		if session != nil {
			session.Close()
		}
	}
	return began
}

// serve forwards streams until the tunnel ends, whoever ends it. The sessions are the device's and, where it is not inside,
// the user's.
func (t *tunnel) serve(sessions []mux.Session) {
	var wg sync.WaitGroup
	defer wg.Wait()
	// The sockets close at once when the tunnel ends, together, whatever is being put on record meanwhile.
	for _, session := range sessions {
		closing := make(chan struct{})
		defer func() { <-closing }()
		context.AfterFunc(t.ctx, func() {
			defer close(closing)
			session.Close()
		})
	}
	device, userDone := sessions[0], (<-chan struct{})(nil)
	if t.inside != nil {
		t.inside.device = device
		close(t.inside.met)
	} else {
		userDone = sessions[1].Done()
		wg.Go(func() { t.accept(sessions[1], device, &wg) })
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	told := 0
	defer func() { t.tell(&told) }()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-userDone:
			t.end(UserLeft)
		case <-device.Done():
			t.end(DeviceLeft)
		case now := <-tick.C:
			t.tell(&told)
			t.check(now)
		}
	}
}

// tell has the streams since the last time put on record.
func (t *tunnel) tell(told *int) {
	if begun := int(t.begun.Load()); begun > *told {
		ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
		defer cancel()
		t.gateway.config.Events.Streams(ctx, t.pass.ID, *told+1, begun)
		*told = begun
	}
}

func (t *tunnel) check(now time.Time) {
	switch {
	case now.UnixNano() >= t.expires.Load():
		t.end(Expired)
	case now.Sub(time.Unix(0, t.active.Load())) >= t.pass.Idle:
		t.end(Idle)
	}
}

func (t *tunnel) accept(user, device mux.Session, wg *sync.WaitGroup) {
	for {
		from, err := user.Accept()
		if err != nil {
			return // serve sees that the session is over
		}
		t.begun.Add(1)
		t.open.Add(1)
		wg.Go(func() {
			defer t.open.Add(-1)
			to, err := device.Open(t.ctx)
			if err != nil {
				_ = from.Reset()
				return
			}
			there := func(n int) error { return t.passed(&t.there, n) }
			back := func(n int) error { return t.passed(&t.back, n) }
			_, _, _ = mux.Pipe(mux.Metered{Half: from, Passed: there}, mux.Metered{Half: to, Passed: back}) // its ends know
			_ = from.Close()
			_ = to.Close()
		})
	}
}

func (t *tunnel) usage() Usage {
	return Usage{Sent: t.there.bytes.Load(), Received: t.back.bytes.Load(), Streams: int(t.begun.Load()), Open: int(t.open.Load())}
}

// metered counts what is read and keeps to the rate.
type metered struct {
	mux.Stream
	tunnel *tunnel
	way    *way
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.Stream.Read(b)
	if wait := m.tunnel.passed(m.way, n); wait != nil {
		return n, wait
	}
	return n, err
}
