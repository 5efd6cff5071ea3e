package oidc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// refusal is why we do not believe; its text is for the audit log alone.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// outage is why a provider cannot be asked; its text is for the audit log alone.
type outage struct{ cause error }

func (o *outage) Error() string { return o.cause.Error() }

func (o *outage) Unwrap() error { return o.cause }

const tryAgain = "this login could not be completed: it may have taken more than ten minutes, or gone on in another window. " +
	"Start again from the login page; if it fails again, ask your administrator, for whom the audit log has the reason"

// insideError is a failure that tells of this server's own network: which names and addresses there are in it.
type insideError struct{ text string }

func (e *insideError) Error() string { return e.text }

// reasonOf is what the audit log is told of an outage. A project's administrators read it who have chosen the host.
func reasonOf(p Provider, cause error) string {
	var inside *insideError
	if p.Project != 0 && errors.As(cause, &inside) {
		return "the provider cannot be reached, or is at an address to which this server does not connect"
	}
	return "the provider " + cause.Error()
}

// told notes why somebody is refused, and gives the one message that the caller reads.
func (r *RelyingParty) told(ctx context.Context, from account.Client, p Provider, err error) error {
	var refused *refusal
	var out *outage
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		r.note(ctx, from, p, refused.reason)
		return errs.As(wire.Unauthenticated, err, tryAgain)
	case errors.As(err, &out) && ctx.Err() == nil:
		r.note(ctx, from, p, reasonOf(p, out.cause))
		return errs.As(wire.Unavailable, err, "%s does not answer as it should: try again in a minute, or log in another way", p.Title)
	default:
		return errs.Wrap("oidc: login", err)
	}
}

// transportFault says in a few words why no answer came, or gives nil where one came.
func transportFault(err error) error {
	var private *privateError
	var failed *url.Error
	var lookup *net.DNSError
	switch {
	case errors.As(err, &private):
		return &insideError{"is at " + private.Error()}
	case errors.As(err, &lookup):
		return &insideError{"cannot be reached: " + clip(lookup.Err)}
	case errors.Is(err, errTooLong):
		return errTooLong
	case errors.As(err, &failed) && failed.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("does not answer within %s", askTimeout)
	case isNetwork(err):
		return errors.New("cannot be reached: " + clip(lastWords(err)))
	case errors.As(err, &failed):
		return errors.New(clip(failed.Err.Error()))
	default:
		return nil
	}
}

func isNetwork(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation)
}

// lastWords gives the innermost cause: the outer ones repeat the address.
func lastWords(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

const maxClip = 200

// clip makes what others have written fit for the audit log: short, and without what a terminal obeys.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > maxClip {
		text = string(runes[:maxClip])
	}
	return strings.TrimSpace(text)
}

// note keeps the reason where the platform's administrator, or the project's whose provider it is, finds it.
func (r *RelyingParty) note(ctx context.Context, from account.Client, p Provider, reason string) {
	by := audit.Actor{Kind: audit.Anonymous, ID: "unknown", Address: from.Address, RequestID: from.RequestID, Issuer: p.Issuer}
	e := audit.New(by, audit.ProviderRefuse, p.Project, audit.Asset{Kind: "provider", Key: p.Key, Name: p.Slug()})
	r.Noter.Note(ctx, e.Changed(nil, map[string]string{"reason": reason}).Failing())
}
