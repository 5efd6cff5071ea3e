package pgerr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestEachClassOfErrorHasItsKind(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]wire.Kind{
		"23505": wire.Conflict, "23503": wire.Conflict, "23P01": wire.Conflict, "23514": wire.Invalid, "23502": wire.Invalid, "22P02": wire.Invalid,
		"08006": wire.Unavailable, "57P01": wire.Unavailable, "57014": wire.Unavailable, "53100": wire.Unavailable, "53300": wire.Unavailable,
		"58030": wire.Unavailable, "28P01": wire.Unavailable, "3D000": wire.Unavailable, "40001": wire.Unavailable, "40P01": wire.Unavailable,
		"55P03": wire.Unavailable, "42501": wire.Internal, "42P01": wire.Internal, "XX000": wire.Internal, "": wire.Internal, "2": wire.Internal,
	} {
		canary := "secret-" + code
		err := Wrap("op", fmt.Errorf("layer: %w", &pgconn.PgError{Code: code, Message: canary, Detail: canary, ConstraintName: canary}), nil)
		if errs.KindOf(err) != want {
			t.Errorf("%s is %s, want %s", code, errs.KindOf(err), want)
		}
		if strings.Contains(errs.UserText(err), canary) {
			t.Errorf("%s tells the caller %q", code, errs.UserText(err))
		}
		if Code(err) != code || !Is(err, "x", code) {
			t.Errorf("code of %s is %q", code, Code(err))
		}
	}
}

func TestWhatTheServerDidNotSayHasAKindToo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want wire.Kind
	}{
		{context.Canceled, wire.Canceled},
		{context.DeadlineExceeded, wire.Unavailable},
		{pgx.ErrNoRows, wire.NotFound},
		{io.ErrUnexpectedEOF, wire.Unavailable},
		{errors.New("conn closed"), wire.Unavailable},
		{errors.New("anything"), wire.Internal},
		{errs.E(wire.Exhausted, "known already"), wire.Exhausted},
		{errors.Join(errs.E(wire.Denied, "one"), pgx.ErrNoRows), wire.Denied},
	} {
		if got := errs.KindOf(Wrap("op", test.err, nil)); got != test.want {
			t.Errorf("%v is %s, want %s", test.err, got, test.want)
		}
	}
	if Wrap("op", nil, nil) != nil || Code(nil) != "" {
		t.Error("nil is an error")
	}
}

func TestAConstraintsMeaningIsWhatTheCallerReads(t *testing.T) {
	t.Parallel()
	err := Wrap("op", &pgconn.PgError{Code: UniqueViolation, ConstraintName: "name_unique"}, Meanings{"name_unique": "the name is taken"})
	if errs.UserText(err) != "the name is taken" {
		t.Error(errs.UserText(err))
	}
}
