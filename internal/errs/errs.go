// Package errs gives every error a kind and two texts: one for the operator who reads the log, one for the caller.
//
// It promises that each kind has one meaning in WAMP, HTTP, exit codes, log levels and metrics, and that an error without
// a kind is internal, whose cause no caller sees.
package errs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"bulkhead/wire"
)

// Error is an error with a kind and, where there is one, a text for the caller.
type Error struct {
	Kind wire.Kind
	Op   string // what was being done, for the operator
	User string // what to tell the caller; empty where the kind says enough
	Err  error  // the cause, for the operator only
	// URI, where set, is the WAMP error URI that existing clients branch on, in place of the kind's own.
	URI string
}

func (e *Error) Error() string {
	text := e.User
	if e.Err != nil {
		text = e.Err.Error()
		if e.User != "" {
			text = e.User + ": " + text
		}
	}
	if text == "" {
		text = string(e.Kind)
	}
	if e.Op == "" {
		return text
	}
	return e.Op + ": " + text
}

func (e *Error) Unwrap() error { return e.Err }

// E makes an error of a kind with a text for the caller.
func E(kind wire.Kind, user string, args ...any) *Error {
	return &Error{Kind: kind, User: fmt.Sprintf(user, args...)}
}

// Wrap adds the operation and keeps kind and user text of the cause. Wrap(op, nil) is nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}

// As gives err a kind and a user text, and keeps it as the cause. As(nil) is nil.
func As(kind wire.Kind, err error, user string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, User: fmt.Sprintf(user, args...), Err: err}
}

// KindOf gives the kind of err: of the outermost Error in its chain, Canceled or Unavailable for a context's end, else Internal.
// The kind of nil is "".
func KindOf(err error) wire.Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return wire.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Unavailable
	default:
		return wire.Internal
	}
}

// UserText is what a caller may read of err. It never has the cause.
func UserText(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Kind != wire.Internal && e.User != "" {
		return e.User
	}
	return Of(KindOf(err)).Text
}

// URIOf is the WAMP error URI of err.
func URIOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.URI != "" {
		return e.URI
	}
	return Of(KindOf(err)).URI
}

// Meaning is what a kind becomes at each edge.
type Meaning struct {
	URI    string     // WAMP error
	Status int        // HTTP
	Exit   int        // of a command
	Level  slog.Level // of the log line
	Text   string     // for the caller where the error has none
}

var meanings = map[wire.Kind]Meaning{
	wire.Invalid:         {"wamp.error.invalid_argument", http.StatusUnprocessableEntity, 2, slog.LevelInfo, "the request is not valid"},
	wire.Unauthenticated: {"wamp.error.authentication_failed", http.StatusUnauthorized, 4, slog.LevelInfo, "not logged in"},
	wire.Denied:          {"wamp.error.not_authorized", http.StatusForbidden, 4, slog.LevelInfo, "not allowed"},
	wire.NotFound:        {"bulkhead.error.not_found", http.StatusNotFound, 3, slog.LevelInfo, "not found"},
	wire.Conflict:        {"bulkhead.error.conflict", http.StatusConflict, 5, slog.LevelInfo, "in conflict with what exists"},
	wire.Exhausted:       {"bulkhead.error.exhausted", http.StatusTooManyRequests, 6, slog.LevelWarn, "a limit is reached"},
	wire.Unavailable:     {"wamp.error.unavailable", http.StatusServiceUnavailable, 6, slog.LevelWarn, "not available now"},
	wire.Canceled:        {"wamp.error.canceled", 499, 130, slog.LevelDebug, "canceled"},
	wire.Internal:        {"bulkhead.error.internal", http.StatusInternalServerError, 1, slog.LevelError, "internal error"},
}

// Of gives the meaning of a kind; of an unknown one, that of Internal.
func Of(k wire.Kind) Meaning {
	if m, ok := meanings[k]; ok {
		return m
	}
	return meanings[wire.Internal]
}
