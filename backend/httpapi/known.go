package httpapi

import (
	"context"
	"net/http"
	"strings"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// LoginCookie is the cookie that carries the login of a browser. Browsers keep one of this name from this host alone, for
// all of its paths, over TLS: a sibling domain cannot set it.
const LoginCookie = "__Host-bulkhead"

// known proves who calls. Nobody has to be known to log in.
func (a *API) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if logsIn(r) {
			if err := a.Logins.Admit(requestOf(r.Context()).client()); err != nil { // nothing of the request is read
				a.logged(r.Context(), "login", err)
				write(w, problemOf(r.Context(), err))
				return
			}
			if r.Body != nil {
				r.Body = http.MaxBytesReader(w, r.Body, maxLoginBody)
			}
			next.ServeHTTP(w, r)
			return
		}
		by, err := a.prove(r)
		if err != nil {
			a.noteUnknown(r.Context(), err)
			a.logged(r.Context(), "authenticate", err)
			write(w, problemOf(r.Context(), err))
			return
		}
		requestOf(r.Context()).principal = by
		a.placed(next, w, r)
	})
}

// Limits of those who are not known yet: the others' places are not theirs, and they have little to say.
const (
	maxStrangers = 384 // more than may wait for a password to be looked at
	maxLoginBody = 8 << 10
)

// loggingIn lets so many log in at once, of whom all has come that they say: who is not known holds no place by sending slowly.
func (a *API) loggingIn(next http.Handler) http.Handler {
	places := make(chan struct{}, maxStrangers)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !logsIn(r) {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			refuse(w, r, http.StatusServiceUnavailable, string(wire.Unavailable), "too many people log in at this moment: try again in a few seconds")
		}
	})
}

// logsIn reports whether a request is one for which nobody has to be known.
func logsIn(r *http.Request) bool { return r.URL.Path == loginPath && r.Method == http.MethodPost }

// loginPath is where one logs in, and below it where one shows the second factor.
const loginPath = Prefix + "/login"

func isLogin(r *http.Request) bool {
	return r.URL.Path == loginPath || strings.HasPrefix(r.URL.Path, loginPath+"/")
}

var errCredential = errs.E(wire.Unauthenticated, "log in, or send an API key in the header Authorization: Bearer %s…", account.KeyPrefix)

var errCookies = errs.E(wire.Unauthenticated, "there are several cookies named %s, and one is not of this server: delete this site's cookies and log in again", LoginCookie)

// prove reads the one credential of a request: the header where there is one, else the cookie.
func (a *API) prove(r *http.Request) (account.Principal, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return a.proveCookie(r)
	}
	scheme, text, ok := strings.Cut(headers[0], " ")
	if len(headers) != 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return account.Principal{}, errCredential
	}
	if strings.HasPrefix(text, account.LoginPrefix) {
		return a.Logins.Authenticate(r.Context(), requestOf(r.Context()).client(), text)
	}
	return a.Keys.Authenticate(r.Context(), requestOf(r.Context()).client(), text)
}

// proveCookie believes a cookie where there is one of its name, and where the browser says that what changes something
// comes from a page of this server: a browser that says nothing of that is not asked to.
func (a *API) proveCookie(r *http.Request) (account.Principal, error) {
	cookies := r.CookiesNamed(LoginCookie)
	switch {
	case len(cookies) == 0:
		return account.Principal{}, errCredential
	case len(cookies) > 1:
		return account.Principal{}, errCookies
	}
	if !isSafe(r.Method) && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return account.Principal{}, refusal(http.StatusForbidden, CodeCrossOrigin, "a browser that does not say where a request comes from cannot change anything with its login: send the header Authorization")
	}
	return a.Logins.Authenticate(r.Context(), requestOf(r.Context()).client(), cookies[0].Value)
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// noteForeign keeps that another site sent something. Browsers send no cookie along with it.
func (a *API) noteForeign(r *http.Request) {
	if a.Refusals == nil {
		return
	}
	known := requestOf(r.Context())
	actor := audit.Actor{Kind: audit.Anonymous, ID: "unknown", Address: known.address, RequestID: known.id}
	a.Refusals.Note(r.Context(), audit.New(actor, audit.AccessRefuse, 0, audit.Asset{Kind: "login"}).Changed(nil, struct {
		Reason string `json:"reason"`
	}{"a request that was not sent by a page of this server"}).Failing())
}

// noteUnknown keeps that somebody came with a credential that opens nothing.
func (a *API) noteUnknown(ctx context.Context, err error) {
	if a.Refusals == nil || err == errCredential || errs.KindOf(err) != wire.Unauthenticated { //nolint:errorlint // the value itself: nothing was sent
		return
	}
	known := requestOf(ctx)
	actor := audit.Actor{Kind: audit.Anonymous, ID: "unknown", Address: known.address, RequestID: known.id}
	a.Refusals.Note(ctx, audit.New(actor, audit.KeyRefuse, 0, audit.Asset{Kind: "apikey"}).Changed(nil, struct {
		Reason string `json:"reason"`
	}{errs.UserText(err)}).Failing())
}
