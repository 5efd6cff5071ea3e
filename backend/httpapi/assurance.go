package httpapi

import (
	"errors"
	"net/http"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// assured refuses who was not proved surely enough for an operation: a first factor reaches nothing but the second, what
// is dangerous wants a second factor that was shown just now, and an API key reaches no farther than its scopes.
func (a *API) assured(by account.Principal, r route) error {
	switch {
	case r.flag != wire.Self && !by.InScope(r.flag):
		return unassured{errs.E(wire.Denied, "the API key does not have the scope %s", r.flag), "scope"}
	case by.Level < account.AAL2 && !r.first:
		return unassured{refusal(http.StatusForbidden, CodeSecondFactorRequired, "show your second factor first"), "second factor"}
	case wire.NeedsFresh(r.flag) && by.Proof == account.ProofLogin && !by.Fresh(a.Now()):
		return unassured{refusal(http.StatusForbidden, CodeStepUpRequired, "show your second factor again: this asks for one that was shown in the last five minutes"), stale}
	default:
		return nil
	}
}

// unassured is a refusal of somebody who was not proved surely enough.
type unassured struct {
	error
	lacks string // for the audit log
}

func (u unassured) Unwrap() error { return u.error }

// stale is what somebody lacks whose second factor was shown too long ago.
const stale = "fresh second factor"

// lacking tells what somebody lacked who was refused for it.
func lacking(err error) (lacks string, ok bool) {
	var u unassured
	switch {
	case errors.As(err, &u):
		return u.lacks, true
	case errors.Is(err, account.ErrStepUp):
		return stale, true
	default:
		return "", false
	}
}

func refusal(status int, code, detail string) *Problem {
	p := newProblem(status, detail)
	p.Code = code
	return p
}
