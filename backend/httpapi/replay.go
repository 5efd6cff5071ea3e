package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// How long the answer to a request with an Idempotency-Key is kept, and after how long one that was never answered counts
// as dead: longer than any operation takes.
const (
	replayLife  = 24 * time.Hour
	replayStall = answerTimeout + time.Minute
	maxReplayed = 1 << 20
	// headerReplay marks an answer that was given before.
	headerReplay = "Idempotency-Replayed"
)

var idempotencyForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,200}$`)

// replayed has a POST with an Idempotency-Key done once: the same request gets the same answer for a day, also after a
// restart of the server, and another request with the key is refused. Answers are kept in the database, sealed, because
// some have secrets. Only success is kept: what failed has left nothing, and is done again.
func (a *API) replayed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" || r.Method != http.MethodPost || isLogin(r) { // the server keeps no token of a login, and nobody logs in twice by one request
			next.ServeHTTP(w, r)
			return
		}
		err := a.once(w, r, key, next)
		if err != nil {
			a.logged(r.Context(), "idempotency", err)
			write(w, problemOf(r.Context(), err))
		}
	})
}

// once returns an error only where it has written nothing.
func (a *API) once(w http.ResponseWriter, r *http.Request, key string, next http.Handler) error {
	if len(r.Header.Values("Idempotency-Key")) != 1 || !idempotencyForm.MatchString(key) {
		return errs.E(wire.Invalid, "Idempotency-Key: want 1 to 200 of A-Z, a-z, 0-9, and . _ : -")
	}
	print, err := fingerprint(r)
	if err != nil {
		return err
	}
	p := replay{a: a, principal: requestOf(r.Context()).principal.Login, key: key}
	now := a.Now()
	sealed, err := a.Replays.Begin(r.Context(), p.principal, key, print, now, now.Add(-replayLife), now.Add(-replayStall))
	if err != nil {
		return err
	}
	if sealed != nil {
		return p.repeat(w, sealed)
	}
	p.do(w, r, next)
	return nil
}

// fingerprint tells requests apart by method, target and body, which bodied has read already.
func fingerprint(r *http.Request) ([]byte, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", r.Method, r.URL.RequestURI())
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, errs.As(wire.Invalid, err, "the request's body could not be read")
		}
		h.Write(body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return h.Sum(nil), nil
}

// replay is one request with an Idempotency-Key.
type replay struct {
	a              *API
	principal, key string
}

func (p replay) context() string { return "replay|" + p.principal + "|" + p.key }

// answer is what is kept of one.
type answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// keptHeaders are those that belong to the answer and not to the request.
var keptHeaders = []string{"Content-Type", "ETag", "Location"}

// do answers the request, and keeps the answer before its sender has it: who has lost an answer may always ask again.
func (p replay) do(w http.ResponseWriter, r *http.Request, next http.Handler) {
	recorded := &recorder{header: w.Header(), status: http.StatusOK}
	settled := false
	defer func() {
		if !settled { // a panic goes on to the gate that answers it
			p.settle(r.Context(), nil)
		}
	}()
	next.ServeHTTP(recorded, r)
	settled = true
	p.settle(r.Context(), recorded)
	w.WriteHeader(recorded.status)
	_, _ = w.Write(recorded.body.Bytes()) // a client that has gone asks again
}

// settle keeps a success and forgets anything else, although the sender may have gone.
func (p replay) settle(ctx context.Context, recorded *recorder) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := p.keep(ctx, recorded); err != nil {
		p.a.Log.WarnContext(ctx, "an answer could not be kept for its Idempotency-Key", logkey.RequestID, requestOf(ctx).id, logkey.Error, err)
	}
}

func (p replay) keep(ctx context.Context, recorded *recorder) error {
	if recorded == nil || recorded.status >= http.StatusMultipleChoices || recorded.body.Len() > maxReplayed {
		return p.a.Replays.Abandon(ctx, p.principal, p.key)
	}
	kept := answer{Status: recorded.status, Header: http.Header{}, Body: recorded.body.Bytes()}
	for _, name := range keptHeaders {
		if values := recorded.header.Values(name); len(values) > 0 {
			kept.Header[name] = values
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	sealed, err := p.a.Sealer.Seal(secret.New(text), p.context())
	if err != nil {
		return err
	}
	return p.a.Replays.Finish(ctx, p.principal, p.key, sealed)
}

func (p replay) repeat(w http.ResponseWriter, sealed []byte) error {
	text, err := p.a.Sealer.Open(sealed, p.context())
	if err != nil {
		return errs.Wrap("httpapi: replay", err)
	}
	var kept answer
	if err := json.Unmarshal(text.Reveal(), &kept); err != nil {
		return errs.Wrap("httpapi: replay", err)
	}
	for name, values := range kept.Header {
		w.Header()[name] = values
	}
	w.Header().Set(headerReplay, "true")
	w.WriteHeader(kept.Status)
	_, _ = w.Write(kept.Body) // a client that has gone asks again
	return nil
}

// recorder holds an answer back.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.body.Write(b)
}
