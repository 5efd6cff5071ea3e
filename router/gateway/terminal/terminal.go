// Package terminal is the browser's way to a shell on a device: a WebSocket at one end, an SSH session over a stream of a
// tunnel at the other.
//
// It promises that nobody is let in from another site's page, without a login or without a ticket; that what is kept of
// either direction is bounded, and neither holds up the other; that a message which is not of the protocol ends the
// terminal; that the device has proved its key before anything is typed to it; that the browser is told how its shell
// ended; and that the end of one end is the end of the other.
package terminal

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// Guest is somebody with a login.
type Guest interface {
	// Open opens what the ticket is for. It takes as long as the device takes to come.
	Open(ctx context.Context, ticket string) (Shell, error)
}

// Shell is the way to a device on which a shell may be started.
type Shell struct {
	Stream   mux.Stream
	Device   string // fingerprint of the key with which the device proves itself
	User     string // as whom it runs there; may be empty
	Recorded bool
	Left     time.Duration
	// Why waits until the tunnel has ended and says why, for its user.
	Why func(ctx context.Context) string
	// Close ends the tunnel. Closing twice is fine.
	Close func()
}

// Config is what Terminals need; the first four are required.
type Config struct {
	Origin string // of this server's pages
	// Known finds out who asks, by the request's cookie.
	Known func(r *http.Request) (Guest, error)
	Log   *slog.Logger
	// Refused is told of a request from another site's page.
	Refused func(r *http.Request)
	// Ping is how often the browser must show that it is there, default 10 s.
	Ping time.Duration
	// Opening is how long an opening may take, default 45 s.
	Opening time.Duration
}

// Terminals are the browsers that have a shell. Make them with New and Close them.
type Terminals struct {
	config Config
	group  *lifecycle.Group
	up     websocket.Upgrader
}

var _ http.Handler = (*Terminals)(nil)

const (
	buffer = 16 << 10
	// firstWithin is how long the browser may take to say what it wants.
	firstWithin = 10 * time.Second
)

// New makes Terminals of which none is open.
func New(c Config) *Terminals {
	if c.Ping <= 0 {
		c.Ping = 10 * time.Second
	}
	if c.Opening <= 0 {
		c.Opening = 45 * time.Second
	}
	t := &Terminals{config: c, group: lifecycle.NewGroup(context.Background())}
	t.up = websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second, ReadBufferSize: buffer, WriteBufferSize: buffer,
		Subprotocols: []string{wire.TerminalProtocol}, CheckOrigin: t.own,
	}
	return t
}

// Close ends all terminals and waits for that.
func (t *Terminals) Close() { t.group.Stop() }

// own demands one origin, of this server: a browser names it, and a page cannot change it.
func (t *Terminals) own(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 1 && (origins[0] == t.config.Origin || origins[0] == "https://"+r.Host)
}

// ServeHTTP lets a browser in.
func (t *Terminals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet || !websocket.IsWebSocketUpgrade(r):
		http.Error(w, "want a WebSocket", http.StatusBadRequest)
		return
	case !t.own(r):
		t.config.Refused(r)
		http.Error(w, "this was not asked by this server's own page", http.StatusForbidden)
		return
	}
	guest, err := t.config.Known(r)
	if err != nil {
		t.config.Log.DebugContext(r.Context(), "a terminal was refused", logkey.Addr, r.RemoteAddr, logkey.Error, err)
		http.Error(w, errs.UserText(err), errs.Of(errs.KindOf(err)).Status)
		return
	}
	ws, err := t.up.Upgrade(w, r, nil)
	if err != nil {
		return // gorilla has answered
	}
	if ws.Subprotocol() != wire.TerminalProtocol || !t.group.Go(func(ctx context.Context) { t.serve(ctx, ws, guest) }) {
		_ = ws.Close()
	}
}

// serve is the life of one terminal.
func (t *Terminals) serve(ctx context.Context, ws *websocket.Conn, guest Guest) {
	p := newPage(ws, t.config.Ping)
	defer p.cut()
	stop := context.AfterFunc(ctx, p.cut)
	defer stop()
	first, err := p.first()
	if err != nil {
		p.end(notUnderstood, nil)
		return
	}
	opening, cancel := context.WithTimeout(ctx, t.config.Opening)
	defer cancel()
	shell, err := guest.Open(opening, first.Ticket)
	if err != nil {
		p.end(refusal(err), nil)
		return
	}
	s, err := start(opening, shell, first)
	if err != nil {
		shell.Close()
		t.config.Log.InfoContext(ctx, "a terminal has no shell", logkey.Reason, errs.UserText(err), logkey.Error, err)
		p.end(refusal(err), nil)
		return
	}
	stop() // from here on the page is told
	attend(ctx, p, s, shell)
}

func refusal(err error) ending {
	return ending{Reason: string(errs.KindOf(err)), Text: sentence(errs.UserText(err))}
}

var notUnderstood = ending{Reason: "protocol", Text: "The page sent something that is not understood."}
