package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// requestTimeout bounds one request; installing an app makes a database.
const requestTimeout = 2 * time.Minute

// maxReply bounds what is read of one reply that is not a download.
const maxReply = 16 << 20

// client talks to the REST API of one server.
type client struct {
	inv     *invocation
	context Context
	key     secret.Value // an API key or the token of a login; none before one has logged in
	http    *http.Client
}

func (inv *invocation) client() (*client, error) {
	context, err := inv.resolve()
	if err != nil {
		return nil, err
	}
	c, err := inv.stranger(context)
	if err != nil {
		return nil, err
	}
	c.key, err = inv.credential(context)
	return c, err
}

// stranger is a client that has no credential.
func (inv *invocation) stranger(context Context) (*client, error) {
	tlsConfig, err := context.tlsConfig()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: tlsConfig, Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true}
	return &client{inv: inv, context: context, http: &http.Client{
		Transport: transport,
		// A redirect would carry the key elsewhere; the API makes none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// credential is what a context is logged in with.
func (inv *invocation) credential(context Context) (secret.Value, error) {
	if context.Login == nil {
		return context.apiKey()
	}
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return secret.Value{}, err
	}
	return contexts.token(context)
}

// request is one call of the API: the path has its components escaped already, see path.
type request struct {
	method  string
	path    string
	query   url.Values
	body    any
	ifMatch string
}

// path joins components below /api/v1, escaping each.
func path(components ...string) string {
	joined := "/api/v1"
	for _, c := range components {
		joined += "/" + url.PathEscape(c)
	}
	return joined
}

// fetch makes a request and decodes its reply.
func fetch[T any](ctx context.Context, c *client, r request) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := c.do(ctx, r)
	return decoded[T](c, response, err)
}

// decoded reads the reply of a request that was not refused.
func decoded[T any](c *client, response *http.Response, err error) (T, error) {
	var reply T
	if err != nil {
		return reply, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return reply, nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxReply)).Decode(&reply); err != nil {
		return reply, errs.As(wire.Unavailable, err, "%s answered with something that is no JSON", c.context.Server)
	}
	return reply, nil
}

// do makes a request and turns a refusal into an error; the caller closes the body. Where the server wants the second
// factor again it is asked for at a terminal, and the request made again.
func (c *client) do(ctx context.Context, r request) (*http.Response, error) {
	response, err := c.try(ctx, r)
	if err == nil || c.context.Login == nil {
		return response, err
	}
	again, err := c.mend(ctx, err)
	if err != nil || !again {
		return nil, err
	}
	return c.try(ctx, r)
}

// try makes a request once.
func (c *client) try(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	target := c.context.Server + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	q, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	if !c.key.IsZero() {
		q.Header.Set("Authorization", "Bearer "+string(c.key.Reveal()))
	}
	q.Header.Set("User-Agent", userAgent())
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if r.ifMatch != "" {
		q.Header.Set("If-Match", r.ifMatch)
	}
	response, err := c.http.Do(q)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer response.Body.Close()
		return nil, problem(response)
	}
	return response, nil
}

// authority is by which the server is known.
func (c Context) authority() string {
	if c.CAFile == "" {
		return "the authorities of this system"
	}
	return "the authority in " + c.CAFile
}

func userAgent() string { return "bulkhead/" + programVersion().Version }

// unreachable says in the user's words why no answer came.
func (c *client) unreachable(err error) error {
	var refused *net.OpError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return errs.As(wire.Unavailable, err, "%s did not answer in time", c.context.Server)
	case errors.As(err, &refused):
		return errs.As(wire.Unavailable, err, "%s cannot be reached: is the server running?", c.context.Server)
	case errors.As(err, &unknown):
		return errs.As(wire.Unavailable, err, "%s is not known by %s: give the one that it shows itself by with --ca-file FILE", c.context.Server, c.context.authority())
	default:
		return errs.As(wire.Unavailable, err, "%s cannot be reached", c.context.Server)
	}
}

// problem reads an RFC 9457 problem document.
func problem(response *http.Response) error {
	var document struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
		Errors []struct {
			Message  string `json:"message"`
			Location string `json:"location"`
		} `json:"errors"`
	}
	err := json.NewDecoder(io.LimitReader(response.Body, maxReply)).Decode(&document)
	kind := kindOf(document.Code, response.StatusCode)
	if err != nil || document.Title+document.Detail == "" {
		return errs.E(kind, "the server answered %s", response.Status)
	}
	text := document.Detail
	if text == "" {
		text = document.Title
	}
	for _, e := range document.Errors {
		text += fmt.Sprintf("\n  %s", e.Message)
		if e.Location != "" {
			text += fmt.Sprintf(" (%s)", e.Location)
		}
	}
	return &refusal{err: errs.E(kind, "%s", text), code: document.Code, status: response.StatusCode}
}

// refusal is what the server said no with: its code is finer than a kind.
type refusal struct {
	err    *errs.Error
	code   string
	status int
}

func (r *refusal) Error() string { return r.err.Error() }

// Unwrap shows the error's kind.
func (r *refusal) Unwrap() error { return r.err }

// kindOf trusts the code where it is a kind, and the status otherwise.
func kindOf(code string, status int) wire.Kind {
	for _, k := range wire.Kinds {
		if string(k) == code {
			return k
		}
	}
	for _, k := range wire.Kinds {
		if errs.Of(k).Status == status {
			return k
		}
	}
	switch status {
	case http.StatusPreconditionFailed, http.StatusPreconditionRequired:
		return wire.Conflict
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return wire.Unavailable
	}
	if status < http.StatusInternalServerError {
		return wire.Invalid
	}
	return wire.Internal
}
