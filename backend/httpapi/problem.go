package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bulkhead/backend/account"
	"bulkhead/backend/asset"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Problem is a refusal, as RFC 9457 has it. Code is stable: a wire.Kind, or one of the finer codes.
type Problem struct {
	Type      string  `json:"type" doc:"Always about:blank; code tells problems apart" example:"about:blank"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail,omitempty" doc:"What to tell the person who asked"`
	Code      string  `json:"code" doc:"Stable: what a program may branch on" example:"not_found"`
	RequestID string  `json:"request_id,omitempty" doc:"What the server's log has of this request"`
	Errors    []Fault `json:"errors,omitempty" doc:"Each thing that is wrong with the request"`
}

// Fault is one thing that is wrong with a request. It never repeats a value.
type Fault struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty" example:"body.name"`
}

// Codes that are finer than a kind.
const (
	CodePreconditionFailed   = "precondition_failed"
	CodePreconditionRequired = "precondition_required"
	CodeBodyTooLarge         = "body_too_large"
	CodeBodyTooSlow          = "body_too_slow"
	CodeMediaType            = "unsupported_media_type"
	CodeMethodNotAllowed     = "method_not_allowed"
	CodeCrossOrigin          = "cross_origin"
	CodeCredentialInURL      = "credential_in_url"
	CodeSecondFactorRequired = "second_factor_required"
	CodeStepUpRequired       = "step_up_required"
)

// finer has the codes of statuses that no kind has.
var finer = map[int]string{
	http.StatusBadRequest:            string(wire.Invalid),
	http.StatusMethodNotAllowed:      CodeMethodNotAllowed,
	http.StatusNotAcceptable:         string(wire.Invalid),
	http.StatusRequestTimeout:        CodeBodyTooSlow,
	http.StatusPreconditionFailed:    CodePreconditionFailed,
	http.StatusRequestEntityTooLarge: CodeBodyTooLarge,
	http.StatusUnsupportedMediaType:  CodeMediaType,
	http.StatusPreconditionRequired:  CodePreconditionRequired,
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the status that huma answers with.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type that huma answers with.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

var _ huma.StatusError = (*Problem)(nil)

// The two functions through which huma makes errors, and its strictness about the case of member names, are variables of
// its package; no other package uses it.
func init() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, detail string, causes ...error) huma.StatusError {
		return problem("", status, detail, causes)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, causes ...error) huma.StatusError {
		return problem(requestOf(ctx.Context()).id, status, detail, causes)
	}
}

// newProblem is a refusal of ours with a status that no kind has.
func newProblem(status int, detail string) *Problem { return problem("", status, detail, nil) }

// problem makes what huma has to say a problem document, without the values that it quotes.
func problem(id string, status int, detail string, causes []error) *Problem {
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: codeOf(status), RequestID: id}
	if status >= http.StatusInternalServerError {
		p.Detail = errs.Of(wire.Internal).Text
		return p
	}
	for _, cause := range causes {
		var d huma.ErrorDetailer
		if errors.As(cause, &d) {
			known := d.ErrorDetail()
			p.Errors = append(p.Errors, Fault{Message: known.Message, Location: known.Location})
		}
	}
	return p
}

func codeOf(status int) string {
	if code, ok := finer[status]; ok {
		return code
	}
	for _, k := range wire.Kinds {
		if errs.Of(k).Status == status {
			return string(k)
		}
	}
	return string(wire.Internal)
}

// problemOf tells a caller of err what it may know.
func problemOf(ctx context.Context, err error) *Problem {
	if known := new(Problem); errors.As(err, &known) {
		told := *known
		told.RequestID = requestOf(ctx).id
		return &told
	}
	kind := errs.KindOf(err)
	status := errs.Of(kind).Status
	if errors.Is(err, asset.ErrRevision) {
		status = http.StatusPreconditionFailed
	}
	p := &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: errs.UserText(err),
		Code: string(kind), RequestID: requestOf(ctx).id,
	}
	if code, ok := finer[status]; ok {
		p.Code = code
	}
	if errors.Is(err, account.ErrStepUp) {
		p.Code = CodeStepUpRequired
	}
	if p.Title == "" { // 499 has no text
		p.Title = p.Detail
	}
	return p
}

// refuse answers a request before huma sees it.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	write(w, &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail, RequestID: requestOf(r.Context()).id,
	})
}

func write(w http.ResponseWriter, p *Problem) {
	text, err := json.Marshal(p)
	if err != nil { // strings and numbers always are JSON
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", problemType)
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="bulkhead"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(text) // a client that has gone needs no answer
}
