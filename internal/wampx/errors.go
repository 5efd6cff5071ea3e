package wampx

import (
	"context"
	"errors"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// NoSuchRealm is the refusal of a realm that does not exist, or not yet: clients of an installation keep waiting.
const NoSuchRealm = string(wamp.ErrNoSuchRealm)

// NoSuchProcedure is the refusal of a call that nobody answers now.
const NoSuchProcedure = string(wamp.ErrNoSuchProcedure)

// RemoteError is an ERROR as it came. It is the cause of the errs.Error that a caller gets; errors.As finds it.
type RemoteError struct {
	URI    string
	Args   []any
	Kwargs map[string]any
}

func (e *RemoteError) Error() string { return e.URI }

// kinds has what the specification's and the data plane's error URIs mean; those of errs are added by kindOf.
var kinds = map[string]wire.Kind{
	"wamp.error.invalid_uri":                   wire.Invalid,
	"wamp.error.option_not_allowed":            wire.Invalid,
	"wamp.error.protocol_violation":            wire.Invalid,
	"wamp.error.feature_not_supported":         wire.Invalid,
	"wamp.error.no_such_procedure":             wire.NotFound,
	"wamp.error.no_such_registration":          wire.NotFound,
	"wamp.error.no_such_subscription":          wire.NotFound,
	"wamp.error.no_such_session":               wire.NotFound,
	"wamp.error.no_such_realm":                 wire.NotFound,
	"wamp.error.procedure_already_exists":      wire.Conflict,
	"wamp.error.no_auth_method":                wire.Unauthenticated,
	"wamp.error.no_matching_auth_method":       wire.Unauthenticated,
	"wamp.error.no_such_principal":             wire.Unauthenticated,
	"wamp.error.no_such_role":                  wire.Denied,
	"wamp.error.authorization_failed":          wire.Unavailable,
	"wamp.error.network_failure":               wire.Unavailable,
	"wamp.error.no_available_callee":           wire.Unavailable,
	"wamp.error.no_eligible_callee":            wire.Unavailable,
	"wamp.error.timeout":                       wire.Unavailable,
	"wamp.error.payload_size_exceeded":         wire.Exhausted,
	"wamp.close.system_shutdown":               wire.Unavailable,
	"wamp.close.close_realm":                   wire.Unavailable,
	"wamp.close.killed":                        wire.Unavailable,
	"wamp.close.backpressure":                  wire.Exhausted,
	"wamp.error.option_disallowed.disclose_me": wire.Denied,
	wire.ErrRateLimited:                        wire.Exhausted,
	wire.ErrResultTooLarge:                     wire.Exhausted,
	wire.ErrSeriesTooManyGroups:                wire.Exhausted,
	wire.ErrStorageFull:                        wire.Exhausted,
	wire.ErrEntityKeyConflict:                  wire.Conflict,
	wire.ErrNoSuchTable:                        wire.NotFound,
	wire.ErrInvalidLimit:                       wire.Invalid,
	wire.ErrInvalidTimeRange:                   wire.Invalid,
	wire.ErrInvalidMetric:                      wire.Invalid,
	wire.ErrInvalidGroupBy:                     wire.Invalid,
	wire.ErrInvalidFilter:                      wire.Invalid,
	wire.ErrInvalidRow:                         wire.Invalid,
}

// kindOf gives the kind of an error URI. An app's own URI is Internal: something on the other side failed.
func kindOf(uri string) wire.Kind {
	if k, ok := kinds[uri]; ok {
		return k
	}
	for _, k := range wire.Kinds {
		if errs.Of(k).URI == uri {
			return k
		}
	}
	return wire.Internal
}

// fromWAMP makes an ERROR an errs.Error whose text is the first argument, where it is a text.
func fromWAMP(m *wamp.Error) error {
	remote := &RemoteError{URI: string(m.Error), Args: plainList(m.Arguments), Kwargs: plainDict(m.ArgumentsKw)}
	user := ""
	if len(remote.Args) > 0 {
		user = text(remote.Args[0])
	}
	return &errs.Error{Kind: kindOf(remote.URI), User: user, URI: remote.URI, Err: remote}
}

// toWAMP makes a handler's error the ERROR that its caller gets: the kind's URI and the user's text, never the cause.
func toWAMP(request wamp.ID, err error) *wamp.Error {
	return &wamp.Error{Type: wamp.INVOCATION, Request: request, Details: wamp.Dict{},
		Error: wamp.URI(errs.URIOf(err)), Arguments: wamp.List{errs.UserText(err)}}
}

// refused makes the reason of an ABORT or a GOODBYE an error.
func refused(reason wamp.URI, details wamp.Dict) error {
	uri := string(reason)
	user, _ := details["message"].(string)
	if user == "" {
		user = "the router ended the session: " + strings.TrimPrefix(uri, "wamp.")
	}
	return &errs.Error{Kind: kindOf(uri), User: user, URI: uri, Err: &RemoteError{URI: uri}}
}

// Reason gives the WAMP URI for which a router refused or ended something, or "" where err has none.
func Reason(err error) string {
	var remote *RemoteError
	if errors.As(err, &remote) {
		return remote.URI
	}
	return ""
}

// stopped reports whether err is only the end of ctx.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}
