package httpapi

import (
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
		return errs.E(wire.Denied, "the API key does not have the scope %s", r.flag)
	case by.Level < account.AAL2 && !r.first:
		return refusal(http.StatusForbidden, CodeSecondFactorRequired, "show your second factor first")
	case wire.NeedsFresh(r.flag) && by.Proof == account.ProofLogin && !by.Fresh(a.Now()):
		return refusal(http.StatusForbidden, CodeStepUpRequired, "show your second factor again: this asks for one that was shown in the last five minutes")
	default:
		return nil
	}
}

func refusal(status int, code, detail string) *Problem {
	p := newProblem(status, detail)
	p.Code = code
	return p
}
