// Package pgerr gives errors of PostgreSQL and of the way to it a kind and a text for the caller.
//
// It promises that no caller's text has SQL, values or names of the database in it, that what cannot be classified is
// internal, and that an error which has a kind already keeps it.
package pgerr

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Codes of PostgreSQL that callers branch on.
const (
	UniqueViolation     = "23505"
	ForeignKeyViolation = "23503"
	CheckViolation      = "23514"
	NotNullViolation    = "23502"
	QueryCanceled       = "57014"
	PrivilegeMissing    = "42501"
	DuplicateDatabase   = "42P04"
	DuplicateSchema     = "42P06"
	DuplicateObject     = "42710"
	UndefinedObject     = "42704"
	NoSuchDatabase      = "3D000"
	LockNotAvailable    = "55P03"
)

// Meanings tells, for the name of a constraint, what a caller should read when a row breaks it.
type Meanings map[string]string

// Wrap adds the operation, a kind and, where there is one, a text for the caller to what pgx returned. Wrap(op, nil, _) is nil.
func Wrap(op string, err error, meanings Meanings) error {
	if err == nil {
		return nil
	}
	if known := new(errs.Error); errors.As(err, &known) {
		return errs.Wrap(op, err)
	}
	kind, text := classify(err, meanings)
	return &errs.Error{Kind: kind, Op: op, User: text, Err: err}
}

// Code gives the SQLSTATE in err, and "" where the server did not speak.
func Code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// Is reports whether err has one of the codes.
func Is(err error, codes ...string) bool {
	code := Code(err)
	for _, c := range codes {
		if code == c {
			return true
		}
	}
	return false
}

func classify(err error, meanings Meanings) (wire.Kind, string) {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, context.Canceled):
		return wire.Canceled, ""
	case errors.Is(err, pgx.ErrNoRows):
		return wire.NotFound, ""
	case errors.As(err, &pg):
		return ofServer(pg, meanings)
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Unavailable, "the database did not answer in time"
	case ofTransport(err):
		return wire.Unavailable, "the database cannot be reached"
	default:
		return wire.Internal, ""
	}
}

// ofTransport reports whether err says that the server or the way to it is gone.
func ofTransport(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "conn closed")
}

func ofServer(pg *pgconn.PgError, meanings Meanings) (wire.Kind, string) {
	switch pg.Code {
	case UniqueViolation, ForeignKeyViolation, "23P01":
		return wire.Conflict, meanings[pg.ConstraintName]
	case CheckViolation:
		return wire.Invalid, meanings[pg.ConstraintName]
	case "40001", "40P01", "55P03":
		return wire.Unavailable, "the database is busy with a change of the same thing; try again"
	case NoSuchDatabase:
		return wire.Unavailable, "the database does not exist on this server"
	}
	return ofClass(pg.Code)
}

func ofClass(code string) (wire.Kind, string) {
	if len(code) != 5 {
		return wire.Internal, ""
	}
	switch code[:2] {
	case "22", "23":
		return wire.Invalid, ""
	case "08", "57":
		return wire.Unavailable, "the database is not available now"
	case "53", "58":
		return wire.Unavailable, "the database has run out of room or connections"
	case "28":
		return wire.Unavailable, "the database refuses our login"
	default:
		return wire.Internal, ""
	}
}
