package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Limits of requests.
const (
	maxInFlight = 512 // of those who are known
	maxEach     = 64  // of one of them
	maxInCrowd  = 4   // of one of them while half of all are taken

	maxExports        = 16 // written at once
	maxProjectExports = 4  // of one project
	maxCrowdExports   = 1  // of one project while half of all are taken

	maxBody     = 2 << 20 // of any request; each operation has its own, smaller one
	bodyTimeout = 10 * time.Second
	// answerTimeout bounds what an operation may take, and writeTimeout its answer with it. Exports have their own.
	answerTimeout = 2 * time.Minute
	writeTimeout  = answerTimeout + 30*time.Second
)

// request is what the gates know of a request. It is in the context, because huma stands between them and the operations;
// those are given it as a parameter.
type request struct {
	id        string
	address   string
	agent     string
	principal account.Principal
	pattern   string // of the route, once it is known
}

// client is where the request comes from.
func (r *request) client() account.Client {
	return account.Client{Address: r.address, Agent: r.agent, RequestID: r.id}
}

type requestKey struct{}

// requestOf gives an empty request where the gates were not passed; its principal is nobody.
func requestOf(ctx context.Context) *request {
	if known, ok := ctx.Value(requestKey{}).(*request); ok {
		return known
	}
	return &request{}
}

// gates puts what holds for every request before the operations. Each may refuse; the order is from the cheapest refusal
// to the dearest. Of who is not known no more is read than a login takes, and nobody has a place among those who log in while it
// comes.
func (a *API) gates(mux *http.ServeMux, m *meter) http.Handler {
	next := a.routed(mux)
	next = a.replayed(next)
	next = a.loggingIn(next)
	next = a.bodied(next)
	next = a.known(next)
	next = a.described(next)
	next = a.sameOrigin(next)
	next = a.cleanURL(next)
	next = a.recovered(next)
	return a.identified(m.measured(next))
}

// identified gives the request an id of ours and every answer its headers.
func (a *API) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := &request{id: rand.Text(), address: addressOf(r), agent: agentOf(r)}
		h := w.Header()
		h.Set("X-Request-Id", known.id)
		secureHeaders(h)
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every test's writer can
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, known)))
	})
}

func secureHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// addressOf trusts the connection alone: a header about it could be the client's own.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// agentOf is what the client says of itself, to be shown to who logged in with it.
func agentOf(r *http.Request) string {
	const most = 200
	agent := strings.ToValidUTF8(strings.Map(printable, r.UserAgent()), "")
	return agent[:min(len(agent), most)]
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}

// recovered keeps a panic to its request.
func (a *API) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares
				panic(cause)
			}
			a.Log.ErrorContext(r.Context(), "panic in a request", logkey.RequestID, requestOf(r.Context()).id,
				logkey.Error, cause, logkey.Stack, string(debug.Stack()))
			write(w, problemOf(r.Context(), errs.E(wire.Internal, "")))
		}()
		next.ServeHTTP(w, r)
	})
}

// credentialWords are names of parameters under which people put credentials into URLs.
var credentialWords = []string{"authorization", "access_token", "api_key", "apikey", "api-key", "token", "key", "secret", "password", "ticket"}

// cleanURL refuses credentials in the URL, which logs and histories on the way keep, and paths in a form that is not the
// one that routes have.
func (a *API) cleanURL(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch escaped := r.URL.EscapedPath(); {
		case credentialIn(r.URL):
			refuse(w, r, http.StatusBadRequest, CodeCredentialInURL, credentialInURL)
		case path.Clean(escaped) != escaped:
			refuse(w, r, http.StatusNotFound, string(wire.NotFound), "no such path")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// WithoutCredentialsInURLs refuses them where the API's own gates do not stand: at the pages, at WebSockets and tunnels.
func WithoutCredentialsInURLs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") && credentialIn(r.URL) {
			secureHeaders(w.Header())
			refuse(w, r, http.StatusBadRequest, CodeCredentialInURL, credentialInURL)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const credentialInURL = "a credential does not belong into a URL: send it in the header Authorization, and revoke the one that was sent"

func credentialIn(u *url.URL) bool {
	if hasCredential(u.Path) || hasCredential(u.RawQuery) {
		return true
	}
	for name, values := range u.Query() {
		for _, word := range credentialWords {
			if strings.EqualFold(name, word) {
				return true
			}
		}
		for _, value := range append(values, name) {
			if hasCredential(value) {
				return true
			}
		}
	}
	return false
}

func hasCredential(text string) bool {
	return strings.Contains(text, account.KeyPrefix) || strings.Contains(text, account.LoginPrefix)
}

// sameOrigin refuses what a browser sends for another site.
func (a *API) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.noteForeign(r)
		refuse(w, r, http.StatusForbidden, CodeCrossOrigin, "requests of other sites are refused")
	}))
	return protection.Handler(next)
}

// described serves the API's own description, which is the same for everybody and has nothing of this server in it.
func (a *API) described(next http.Handler) http.Handler {
	document := sync.OnceValues(a.document)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Prefix+"/openapi.json" || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
			next.ServeHTTP(w, r)
			return
		}
		text, err := document()
		if err != nil {
			a.logged(r.Context(), "describe", err)
			write(w, problemOf(r.Context(), errs.As(wire.Internal, err, "")))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(text) // a client that has gone needs no answer
	})
}

// logged writes what went wrong once, at the edge: what is the server's fault at its level, a caller's mistake for who
// debugs. Of those who send too much a few have a line, which tells for how many it stands.
func (a *API) logged(ctx context.Context, op string, err error) {
	kind := errs.KindOf(err)
	level, count := slog.LevelDebug, int64(1)
	var told *Problem
	switch {
	case errors.As(err, &told) && told.Status < http.StatusInternalServerError:
	case kind == wire.Internal, kind == wire.Unavailable:
		level = errs.Of(kind).Level
	case kind == wire.Exhausted:
		if n, tell := a.exhausted.Take(a.Now()); tell {
			level, count = errs.Of(kind).Level, n
		}
	}
	known := requestOf(ctx)
	a.Log.Log(ctx, level, "request refused", logkey.RequestID, known.id, logkey.Op, op, logkey.Addr, known.address, logkey.Count, count, logkey.Error, err)
}
