package pages

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Limits of requests.
const (
	maxInFlight   = 512
	maxBody       = 16 << 10
	bodyTimeout   = 10 * time.Second
	answerTimeout = 30 * time.Second
	maxAgent      = 300
)

// policy lets a page load its stylesheet and the QR code within it, and send its forms here. Where one goes on elsewhere,
// to a provider, it is by a link, which no form-action has to allow.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secureHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers would send our own forms with the origin "null"
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// request is what the gates know of a request, and what handlers are given beside it.
type request struct {
	*http.Request
	client account.Client
	token  string            // of the cookie, once it proved to be good
	by     account.Principal // nobody where no login is there
}

// errTooMuch is the answer to what would pile up.
var errTooMuch = errs.E(wire.Unavailable, "The server has too many requests at once. Try again in a moment.")

// gated puts what holds for every request before the handlers.
func (p *Pages) gated(next http.Handler) http.Handler {
	tokens := make(chan struct{}, maxInFlight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secureHeaders(w.Header())
		known := &request{client: clientOf(r)}
		w.Header().Set("X-Request-Id", known.client.RequestID)
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(answerTimeout + bodyTimeout)) // not every test's writer can
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		known.Request = r.WithContext(context.WithValue(ctx, requestKey{}, known))
		defer p.recovered(w, known)
		if !p.admitted(w, known) {
			return
		}
		select { // after the form has come, so that nobody holds a place by sending slowly
		case tokens <- struct{}{}:
			defer func() { <-tokens }()
			next.ServeHTTP(w, known.Request)
		default:
			p.fail(w, known, "gate", errTooMuch)
		}
	})
}

type requestKey struct{}

func requestOf(r *http.Request) *request {
	known, ok := r.Context().Value(requestKey{}).(*request)
	if !ok {
		return &request{Request: r, client: clientOf(r)}
	}
	known.Request = r // the mux adds what it matched
	return known
}

// clientOf trusts the connection alone about the address: a header about it could be the client's own.
func clientOf(r *http.Request) account.Client {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = ""
	}
	agent := strings.ToValidUTF8(r.UserAgent(), "")
	if len(agent) > maxAgent {
		agent = strings.ToValidUTF8(agent[:maxAgent], "")
	}
	return account.Client{Address: host, Agent: agent, RequestID: rand.Text()}
}

// recovered keeps a panic to its request.
func (p *Pages) recovered(w http.ResponseWriter, r *request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares
		panic(cause)
	}
	p.Log.ErrorContext(r.Context(), "panic in a page", logkey.RequestID, r.client.RequestID, logkey.Error, cause, logkey.Stack, string(debug.Stack()))
	p.fail(w, r, "panic", errs.E(wire.Internal, ""))
}

// admitted refuses what another site sends and what is too large, and reads the form, before anything else is done.
func (p *Pages) admitted(w http.ResponseWriter, r *request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		p.problem(w, r, http.StatusMethodNotAllowed, "That does not work here", "This page cannot do that.")
		return false
	}
	if err := p.sameOrigin(r.Request); err != nil {
		p.log(r, "cross origin", err)
		p.noteForeign(r)
		p.problem(w, r, http.StatusForbidden, "Refused", "This form was not sent by this server's own page. Open the page again and try once more.")
		return false
	}
	if r.URL.Path == "/login" {
		if err := p.Logins.Admit(r.client); err != nil { // nothing of the form is read
			p.fail(w, r, "login", err)
			return false
		}
	}
	if err := readForm(w, r.Request, p.bodyTimeout); err != nil {
		p.log(r, "read form", err)
		w.Header().Set("Connection", "close") // what is left of the body is not read
		p.problem(w, r, statusOfForm(err), "The form could not be read", "Open the page again and try once more.")
		return false
	}
	return true
}

// sameOrigin demands more than http.CrossOriginProtection, which lets pass what says nothing of its origin: every browser
// names the origin of a form.
func (p *Pages) sameOrigin(r *http.Request) error {
	if err := p.crossOrigin.Check(r); err != nil {
		return err
	}
	origins := r.Header.Values("Origin")
	if len(origins) != 1 || (origins[0] != p.Public && origins[0] != "https://"+r.Host) {
		return errs.E(wire.Denied, "the origin is not this server's")
	}
	return nil
}

var errForm = errors.New("not a form")

func readForm(w http.ResponseWriter, r *http.Request, within time.Duration) error {
	if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(t) != "application/x-www-form-urlencoded" && r.ContentLength != 0 {
		return errForm
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(within)) // not every test's writer can
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return err
	}
	_ = control.SetReadDeadline(time.Time{})
	return nil
}

func statusOfForm(err error) int {
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &network) && network.Timeout():
		return http.StatusRequestTimeout
	case errors.Is(err, errForm):
		return http.StatusUnsupportedMediaType
	default:
		return http.StatusBadRequest
	}
}
