package httpapi

import (
	"context"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/privilege"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Snapshots gives what decisions are made from; see granting.Live.
type Snapshots interface{ Snapshot() *privilege.Snapshot }

// Privileges is the Authorizer over what is granted. It is asked at each request anew.
type Privileges struct {
	Snapshots Snapshots
	Now       func() time.Time
}

var _ Authorizer = Privileges{}

// SubjectOf is a principal as decisions know it. Who has shown one factor only is nobody.
func SubjectOf(by account.Principal) privilege.Subject {
	if !by.Valid() || by.Level < account.AAL2 {
		return privilege.Subject{}
	}
	s := privilege.Subject{Key: by.Key}
	if by.Proof != account.ProofLogin {
		s.Scoped, s.Scopes = true, privilege.Scopes(by.Scopes)
	}
	return s
}

// May decides.
func (p Privileges) May(_ context.Context, by account.Principal, flag wire.Flag, on Target) bool {
	if flag == wire.Self {
		return by.Valid() && on.Kind == oneself.Kind
	}
	return p.Snapshots.Snapshot().May(SubjectOf(by), flag, on.asset(), p.Now())
}

// Sees decides.
func (p Privileges) Sees(_ context.Context, by account.Principal, on Target) bool {
	return p.Snapshots.Snapshot().Sees(SubjectOf(by), on.asset(), p.Now())
}

// Belongs decides.
func (p Privileges) Belongs(_ context.Context, by account.Principal, project wire.Key) bool {
	return p.Snapshots.Snapshot().Belongs(SubjectOf(by), project)
}

// MayApprove reports whether a user could have a tunnel themselves, which is what approving another's asks for.
func (p Privileges) MayApprove(_ context.Context, user wire.Key, t remote.Tunnel) bool {
	return p.Snapshots.Snapshot().May(privilege.Subject{Key: user}, flagOf(t.Target), tunnelTarget(t).asset(), p.Now())
}

// asset is a target as decisions know it.
func (t Target) asset() privilege.Asset {
	switch wire.AssetKind(t.Kind) {
	case wire.AssetDataBackend:
		return privilege.DataAsset(t.Realm.Project, t.Realm.App, t.Realm.Stage)
	case wire.AssetProject:
		return privilege.ProjectAsset(t.Project)
	default:
		return privilege.Asset{Kind: wire.AssetKind(t.Kind), Project: t.Project, Key: t.Key}
	}
}

// wanting is an input that knows better than its route which flag it asks for.
type wanting interface{ wants(Target) wire.Flag }

// admit decides. Who may not even see the asset is told what they would be told if it did not exist, in the same words.
func (a *API) admit(ctx context.Context, c caller, r route, in targeted) error {
	if !c.by.Valid() {
		return errs.E(wire.Unauthenticated, "")
	}
	dynamic, isDynamic := in.(wanting)
	if c.by.Level < account.AAL2 || !isDynamic {
		if err := a.assured(c.by, r); err != nil {
			return err
		}
	}
	on, err := in.target(withCaller(ctx, c.by), a)
	if err != nil {
		return r.unseen(err)
	}
	// What names something and is found to be the platform's is as unknown to others as what is a project's.
	sees := a.Authorizer.Sees(ctx, c.by, on) && !(isDynamic && on == platform && r.noun() != "")
	if isDynamic {
		r.flag = dynamic.wants(on)
		if err := a.assured(c.by, r); err != nil {
			if !sees && !a.Authorizer.May(ctx, c.by, r.flag, on) {
				err = r.unseen(errs.E(wire.NotFound, ""))
			}
			return err
		}
	}
	switch {
	case r.listing && a.mayList(c.by, r), a.Authorizer.May(ctx, c.by, r.flag, on):
		return nil
	case sees:
		a.noteRefusal(ctx, c, r.flag, on) // what one does not see is not noted: that would take time, and tell
		return errs.E(wire.Denied, "this needs the privilege %s", r.flag)
	default:
		return r.unseen(errs.E(wire.NotFound, "no such %s", on.Kind))
	}
}

// mayList says that everybody may list what they see; who sees nothing gets an empty list.
func (a *API) mayList(by account.Principal, _ route) bool { return by.Level >= account.AAL2 }

// may refuses where the caller lacks a flag on another asset than the one that the operation is about.
func (a *API) may(ctx context.Context, c caller, flag wire.Flag, on Target) error {
	switch {
	case !a.Authorizer.Sees(ctx, c.by, on):
		return errs.E(wire.NotFound, "no such %s", on.Kind)
	case !a.Authorizer.May(ctx, c.by, flag, on):
		return errs.E(wire.Denied, "this needs the privilege %s", flag)
	default:
		return a.assured(c.by, route{flag: flag})
	}
}

// unseen words what was not found, or may not be seen: the same for all reasons, by the last thing that the path names.
func (r route) unseen(err error) error {
	if errs.KindOf(err) != wire.NotFound {
		return err
	}
	if text, ok := unseen[r.noun()]; ok {
		return errs.E(wire.NotFound, "%s", text)
	}
	return errs.E(wire.NotFound, "not found")
}

var unseen = map[string]string{
	"project": "no such project", "app": "no such app", "group": "no such group", "installation": "no such installation",
	"device":  "no such device: a device is named PROJECT/NAME, by its serial or by its key",
	"realm":   "no such realm: a realm is named like realm-1-2-prod, device-1 or PROJECT/APP@STAGE",
	"session": "no such realm or session", "service": "no such realm or service", "table": "no such realm or table",
	"grant": "no such grant", "member": "no such member", "owner": "no such owner", "service_account": "no such service account",
	"user":   "no such user: a user is named by key, login name, name or e-mail address",
	"tunnel": "no such tunnel", "recording": "no such recording", "provider": "no such provider",
}

type callerKey struct{}

// withCaller lets a target refuse, before it looks further, what is in a project that the caller does not belong to: the
// answer takes no longer than for a project that does not exist.
func withCaller(ctx context.Context, by account.Principal) context.Context {
	return context.WithValue(ctx, callerKey{}, by)
}

// enters refuses a project that the caller of ctx does not belong to.
func (a *API) enters(ctx context.Context, project wire.Key) error {
	by, _ := ctx.Value(callerKey{}).(account.Principal)
	if !a.Authorizer.Belongs(ctx, by, project) {
		return errs.E(wire.NotFound, "no such project")
	}
	return nil
}

// auditFlag is the privilege to read a record, of a project or of the server.
func auditFlag(on Target) wire.Flag {
	if on == platform {
		return wire.PlatformAudit
	}
	return wire.ProjectAudit
}

func (*auditInput) wants(on Target) wire.Flag { return auditFlag(on) }
func (*logInput) wants(on Target) wire.Flag   { return auditFlag(on) }
func (*entryInput) wants(on Target) wire.Flag { return auditFlag(on) }
