package webapp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// proxy asks one web application.
type proxy struct {
	http.Handler
	session   mux.Session
	transport *http.Transport
}

const (
	idleConn = time.Minute
	maxHead  = 256 << 10 // of an application's answer
	buffer   = 16 << 10  // of a connection
	maxHints = 16        // answers before the answer
)

var (
	errHints    = errors.New("webapp: hints without end")
	errSwitched = errors.New("webapp: another protocol than was asked for")
)

// forward asks the application. What is under way ends with the visit; a WebSocket is under way as long as it is open.
func (a *Apps) forward(w http.ResponseWriter, r *http.Request, name string, v Visit) {
	p, err := a.proxyOf(r.Context(), name, v)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		r.Header.Del("Upgrade") // to nothing else
	}
	ctx, cancel := context.WithCancel(r.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		select {
		case <-v.Ended:
			cancel()
		case <-ctx.Done():
		}
	})
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // an upload may take its time
	p.ServeHTTP(final{w}, r.WithContext(httptrace.WithClientTrace(ctx, bounded())))
}

// bounded gives up an application that hints at an answer and does not give it.
func bounded() *httptrace.ClientTrace {
	hints := 0
	return &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		if hints++; hints > maxHints {
			return errHints
		}
		return nil
	}}
}

// final leaves out what comes before the answer: nothing looks at the headers of that.
type final struct{ http.ResponseWriter }

// WriteHeader begins the answer.
func (f final) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		f.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap gives what is below to http.ResponseController.
func (f final) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// proxyOf gives the proxy of a tunnel, which lives as long as that.
func (a *Apps) proxyOf(ctx context.Context, name string, v Visit) (*proxy, error) {
	session, err := a.Sessions.Enter(ctx, v.Tunnel)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.proxies[v.Tunnel]; p != nil {
		return p, nil
	}
	p := a.newProxy(name, v, session)
	if !a.group.Go(func(ctx context.Context) { a.forget(ctx, v.Tunnel, p) }) {
		return nil, errs.E(wire.Unavailable, "the server is stopping")
	}
	a.proxies[v.Tunnel] = p
	return p, nil
}

// forget lets go of a proxy whose tunnel has ended.
func (a *Apps) forget(ctx context.Context, id string, p *proxy) {
	select {
	case <-p.session.Done():
	case <-ctx.Done():
	}
	a.mu.Lock()
	delete(a.proxies, id)
	a.mu.Unlock()
	p.transport.CloseIdleConnections()
}

func (a *Apps) newProxy(name string, v Visit, session mux.Session) *proxy {
	site := a.SiteURL(name)
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return session.Open(ctx) },
		DisableCompression: true, MaxConnsPerHost: max(1, v.Streams), MaxIdleConnsPerHost: max(1, min(v.Streams, 8)), IdleConnTimeout: idleConn,
		MaxResponseHeaderBytes: maxHead, ReadBufferSize: buffer, WriteBufferSize: buffer, ExpectContinueTimeout: time.Second,
	}
	return &proxy{session: session, transport: transport, Handler: &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, BufferPool: buffers{}, ErrorLog: slog.NewLogLogger(a.Log.With(logkey.Tunnel, v.Tunnel).Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", v.Target.Address(), hostOf(v.Target) // the agent speaks TLS where that is wanted
			r.Out.URL.RawQuery = r.In.URL.RawQuery                                                      // as it is
			toDevice(r.Out.Header, site, v.Target)
			r.SetXForwarded()
			r.Out.Header.Set("X-Forwarded-Proto", "https")
		},
		ModifyResponse: func(r *http.Response) error {
			// Who answers so without being asked would be sent what else comes on the connection, of whomever it is.
			if r.StatusCode == http.StatusSwitchingProtocols && r.Request.Header.Get("Upgrade") == "" {
				return errSwitched
			}
			toBrowser(r.Header, site, v.Target)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { a.unanswered(w, r, v, session, err) },
	}}
}

// unanswered says why there is no answer.
func (a *Apps) unanswered(w http.ResponseWriter, r *http.Request, v Visit, session mux.Session, err error) {
	a.Log.Debug("a web application did not answer", logkey.Tunnel, v.Tunnel, logkey.Error, err)
	select {
	case <-session.Done():
		a.fail(w, r, errNoSite)
		return
	default:
	}
	a.tell(w, r, http.StatusBadGateway, "No answer", "The device does not get an answer from "+v.Target.String()+
		": nothing listens there, it does not speak that protocol, or the device's policy does not allow it any more.")
}

// buffers lends what is copied with.
type buffers struct{}

const bufferSize = 32 << 10

var pool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Get lends a buffer.
func (buffers) Get() []byte { return pool.Get().(*[bufferSize]byte)[:] } //nolint:forcetypeassert // nothing else is put there

// Put takes it back.
func (buffers) Put(b []byte) { pool.Put((*[bufferSize]byte)(b)) }
