// Package oauth serves the endpoints of the device authorization grant (RFC 8628) and of revocation (RFC 7009), by which a
// command line logs in and out.
//
// It promises answers and errors as those documents have them; that a token is given once, to who holds the device code, in
// an answer that no cache keeps; that no credential is taken from a URL; and that a request which repeats a parameter, is
// too large or comes from another site's page is refused.
package oauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/devicegrant"
	"bulkhead/backend/account/throttle"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// What clients name.
const (
	ClientID  = "bulkhead-cli"
	GrantType = "urn:ietf:params:oauth:grant-type:device_code"
	// AuthorizationPath, TokenPath and RevocationPath are the endpoints; ApprovalPath is the page that a user opens.
	AuthorizationPath = "/oauth/device_authorization"
	TokenPath         = "/oauth/token"
	RevocationPath    = "/oauth/revoke"
	ApprovalPath      = "/device"

	maxBody     = 8 << 10
	bodyTimeout = 10 * time.Second
)

// Logins makes and ends logins.
type Logins interface {
	// Approve makes a login of its own for the user of p.
	Approve(ctx context.Context, c account.Client, p account.Principal, kind account.LoginKind) (account.Session, error)
	Authenticate(ctx context.Context, from account.Client, token string) (account.Principal, error)
	End(ctx context.Context, c account.Client, p account.Principal, id string) error
}

// Config is what the endpoints need.
type Config struct {
	Grants    *devicegrant.Grants
	Logins    Logins
	PublicURL string // of this server, without a path
	Log       *slog.Logger
	Now       func() time.Time

	exhausted *throttle.Lines
}

// Handler serves the three endpoints.
func Handler(c Config) http.Handler {
	c.exhausted = new(throttle.Lines)
	mux := http.NewServeMux()
	for path, serve := range map[string]func(*call) (any, error){
		AuthorizationPath: c.authorize, TokenPath: c.token, RevocationPath: c.revoke,
	} {
		mux.Handle(path, c.endpoint(serve))
	}
	return http.NewCrossOriginProtection().Handler(mux)
}

// call is one request whose form was read.
type call struct {
	ctx    context.Context
	client account.Client
	form   url.Values
}

func (q *call) value(name string) string { return q.form.Get(name) }

// fault is an error response of RFC 6749, 5.2.
type fault struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (f *fault) Error() string { return f.Code + ": " + f.Description }

func invalid(description string) error {
	return &fault{http.StatusBadRequest, "invalid_request", description}
}

func (c Config) endpoint(serve func(*call) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := rand.Text()
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("Cache-Control", "no-store")
		h.Set("Pragma", "no-cache")
		h.Set("Content-Type", "application/json")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		q, err := read(w, r, id)
		var answer any
		if err == nil {
			answer, err = serve(q)
		}
		if err != nil {
			c.refuse(w, r, id, err)
			return
		}
		if answer != nil {
			_ = json.NewEncoder(w).Encode(answer) // a client that has gone needs no answer
		}
	})
}

// read takes parameters from the body alone, each once.
func read(w http.ResponseWriter, r *http.Request, id string) (*call, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &fault{http.StatusMethodNotAllowed, "invalid_request", "want POST"}
	}
	if r.URL.RawQuery != "" {
		return nil, invalid("parameters belong into the body, not into the URL")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalid("want Content-Type: application/x-www-form-urlencoded")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // not every test's writer can
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, invalid("the body is no form, or too large, or too slow")
	}
	for name, values := range r.PostForm {
		if len(values) != 1 {
			return nil, invalid("the parameter " + cut(name) + " is repeated")
		}
	}
	return &call{r.Context(), account.Client{Address: addressOf(r), Agent: r.UserAgent(), RequestID: id}, r.PostForm}, nil
}

func cut(name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	return name
}

// addressOf trusts the connection alone: a header about it could be the client's own.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// refuse answers with what went wrong, and logs what is the server's fault.
func (c Config) refuse(w http.ResponseWriter, r *http.Request, id string, err error) {
	var told *fault
	if !errors.As(err, &told) {
		told = faultOf(err)
		level, count := errs.Of(errs.KindOf(err)).Level, int64(1)
		if errs.KindOf(err) == wire.Exhausted { // of these a few have a line
			if n, tell := c.exhausted.Take(c.Now()); tell {
				count = n
			} else {
				level = slog.LevelDebug
			}
		}
		c.Log.Log(r.Context(), level, "request refused", logkey.RequestID, id, logkey.Op, "oauth", logkey.Count, count, logkey.Error, err)
	}
	if told.Status == http.StatusServiceUnavailable || told.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(told.Status)
	_ = json.NewEncoder(w).Encode(told) // a client that has gone needs no answer
}

// faultOf tells in OAuth's words what has no word of its own there.
func faultOf(err error) *fault {
	switch kind := errs.KindOf(err); kind {
	case wire.Exhausted, wire.Unavailable, wire.Canceled:
		return &fault{http.StatusServiceUnavailable, "temporarily_unavailable", errs.UserText(err)}
	case wire.Internal:
		return &fault{http.StatusInternalServerError, "server_error", errs.UserText(err)}
	default:
		return &fault{http.StatusBadRequest, "invalid_grant", errs.UserText(err)}
	}
}
