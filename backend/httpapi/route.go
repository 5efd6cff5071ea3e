package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/realms"
	"bulkhead/wire"
)

const (
	securityScheme = "apiKey"
	// extensionPrivilege names, in the OpenAPI document, the flag that an operation asks for.
	extensionPrivilege = "x-bulkhead-privilege"
	// bodyLimit is the largest body of an operation that does not say otherwise.
	bodyLimit = 64 << 10
)

// Target is the asset that an operation is about.
type Target struct {
	Kind    string   // platform, project, app, device, data_backend or self
	Project wire.Key // that it belongs to; zero for what belongs to none
	Key     wire.Key // of the asset, where it has one
	Realm   realms.Realm
}

// The kinds of target that have no key.
var (
	platform = Target{Kind: "platform"}
	oneself  = Target{Kind: "self"}
)

// route describes one operation.
type route struct {
	method, path, id string
	summary          string
	tag              string
	flag             wire.Flag
	status           int           // of success; 0: 200, or 204 without a body
	body             int64         // largest body; 0: bodyLimit
	timeout          time.Duration // 0: answerTimeout; negative: none
	listing          bool          // shows what the caller sees, and is allowed to everybody
	first            bool          // is open to who has shown a first factor only
}

// caller is who asks, as the gates proved it.
type caller struct {
	by        account.Principal
	actor     audit.Actor
	client    account.Client
	requestID string
}

// targeted is what an input knows: the asset that it is about. It keeps what it found for the operation.
type targeted interface {
	target(ctx context.Context, a *API) (Target, error)
}

// input ties *I to the methods of an input.
type input[I any] interface {
	*I
	targeted
}

// handle registers an operation. Before it runs the caller is known, the asset is found and the privilege is there; what
// it returns as an error becomes a problem document.
func handle[I, O any, P input[I]](a *API, r route, do func(ctx context.Context, c caller, in P) (*O, error)) {
	huma.Register(a.huma, r.operation(), func(ctx context.Context, in *I) (*O, error) {
		if timeout := r.answerTimeout(); timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		known := requestOf(ctx)
		c := caller{by: known.principal, actor: known.principal.Actor(known.client()), client: known.client(), requestID: known.id}
		out, err := func() (*O, error) {
			if err := a.admit(ctx, c, r, P(in)); err != nil {
				return nil, err
			}
			return do(ctx, c, in)
		}()
		if err != nil {
			a.noteLack(ctx, c, r, err)
			a.logged(ctx, r.id, err)
			return nil, a.answerOf(ctx, err)
		}
		return out, nil
	})
}

func (r route) answerTimeout() time.Duration {
	if r.timeout == 0 {
		return answerTimeout
	}
	return r.timeout
}

// answerOf adds the headers that some problems have.
func (a *API) answerOf(ctx context.Context, err error) error {
	p := problemOf(ctx, err)
	switch p.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {"1"}})
	default:
		return p
	}
}

// noun is what an operation is about: the last thing that its path names.
func (r route) noun() string {
	at := strings.LastIndexByte(r.path, '{')
	if at < 0 {
		return ""
	}
	name, _, _ := strings.Cut(r.path[at+1:], "}")
	return name
}

func (r route) operation() huma.Operation {
	limit := r.body
	if limit == 0 {
		limit = bodyLimit
	}
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{r.tag}, DefaultStatus: r.status,
		Security:     []map[string][]string{{securityScheme: {}}},
		Extensions:   map[string]any{extensionPrivilege: string(r.flag)},
		Errors:       r.problems(),
		MaxBodyBytes: limit + 1, BodyReadTimeout: -1, // bodied has read the body already
	}
	if r.method == http.MethodPost {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: "string", MaxLength: new(200)},
			Description: "With the same key, the same request is done once within a day and gets the same answer again",
		})
	}
	return op
}

// problems are the statuses of refusals; huma adds 422 and 500.
func (r route) problems() []int {
	list := []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusTooManyRequests, http.StatusServiceUnavailable,
	}
	switch r.method {
	case http.MethodPost:
		list = append(list, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	case http.MethodPatch:
		list = append(list, http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired,
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	case http.MethodDelete:
		list = append(list, http.StatusConflict)
	}
	return list
}

// document is the OpenAPI document. It takes longer to make than all else at the start, so it is made when it is asked for.
func (a *API) document() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) }
