package errs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestEveryKindHasAMeaningAtEveryEdge(t *testing.T) {
	t.Parallel()
	uris := map[string]wire.Kind{}
	for _, k := range wire.Kinds {
		m := errs.Of(k)
		if m.URI == "" || m.Status < 400 || m.Exit == 0 || m.Text == "" {
			t.Errorf("%s: incomplete: %+v", k, m)
		}
		if k != wire.Internal && m == errs.Of(wire.Internal) {
			t.Errorf("%s is missing from the table", k)
		}
		if other, taken := uris[m.URI]; taken {
			t.Errorf("%s and %s share %s", k, other, m.URI)
		}
		uris[m.URI] = k
	}
}

func TestAnInternalCauseReachesNoCaller(t *testing.T) {
	t.Parallel()
	cause := errors.New("password=hunter2 at 10.0.0.1")
	for _, err := range []error{
		cause,
		errs.Wrap("db: insert", cause),
		errs.As(wire.Internal, cause, "the row %s", "x"),
		errs.As(wire.Unavailable, cause, ""),
		errs.As(wire.Conflict, cause, "the name is taken"),
	} {
		if text := errs.UserText(err); text == "" || strings.Contains(text, "hunter2") {
			t.Errorf("%v: the caller reads %q", err, text)
		}
		if !strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the operator does not see the cause: %v", err)
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want wire.Kind
	}{
		{nil, ""},
		{errors.New("x"), wire.Internal},
		{errs.E(wire.NotFound, "no device %q", "a"), wire.NotFound},
		{fmt.Errorf("op: %w", errs.E(wire.Denied, "")), wire.Denied},
		{errs.Wrap("op", errs.E(wire.Exhausted, "")), wire.Exhausted},
		{fmt.Errorf("op: %w", context.Canceled), wire.Canceled},
		{fmt.Errorf("op: %w", context.DeadlineExceeded), wire.Unavailable},
		{errs.As(wire.Conflict, context.Canceled, ""), wire.Conflict},
	} {
		if got := errs.KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestNoErrorStaysNoError(t *testing.T) {
	t.Parallel()
	if errs.Wrap("op", nil) != nil || errs.As(wire.Invalid, nil, "x") != nil {
		t.Error("nil became an error")
	}
}

func TestTheDataPlanesOwnURIWins(t *testing.T) {
	t.Parallel()
	err := errs.Wrap("ingest", &errs.Error{Kind: wire.Invalid, User: "no column x", URI: wire.ErrInvalidRow})
	if got := errs.URIOf(err); got != wire.ErrInvalidRow {
		t.Errorf("got %s", got)
	}
	if got := errs.URIOf(errs.E(wire.Denied, "")); got != "wamp.error.not_authorized" {
		t.Errorf("got %s", got)
	}
}
