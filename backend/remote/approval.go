package remote

import (
	"context"
	"strings"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// secondFactor is the Method of who has logged in.
const secondFactor = "second_factor"

// person reports whether a human acts, and no program that has a key.
func (r Requester) person() bool { return r.Actor.Kind == audit.User && r.Method == secondFactor }

// approved refuses a tunnel that lacks the approval which its project asks for now. That of somebody who could not give it
// any more does not count: an account that was taken from its user approves nothing that opens later.
func (r *Remote) approved(ctx context.Context, t Tunnel, p Policy) error {
	if !p.Approval {
		return nil
	}
	if t.Approver == "" {
		return errs.E(wire.Conflict, "the project asks for approvals since this was asked for: make another request")
	}
	kind, id, _ := strings.Cut(t.Approver, ":")
	key, err := wire.ParseKey(id)
	if err != nil || kind != string(audit.User) || !r.MayApprove(ctx, key, t) {
		return errs.E(wire.Denied, "who approved this may not approve it any more: make another request")
	}
	return nil
}
