package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

type (
	realmListInput struct {
		RealmReadPath
		Page
	}
	sessionInput struct {
		RealmPath
		Session uint64 `path:"session" minimum:"1" maximum:"9007199254740992" doc:"Id of a session"`
	}
)

func (in *sessionInput) wants(Target) wire.Flag {
	if in.realm.Kind == realms.Devices {
		return wire.ProjectRead // endSession asks for more
	}
	return wire.DataBackendWrite
}

// shows tells whether a caller knows of a session: in the realm of a project's devices, of its own and of the devices that
// it sees.
func (a *API) shows(ctx context.Context, c caller, r realms.Realm, s Session) bool {
	switch {
	case r.Kind != realms.Devices, a.Authorizer.May(ctx, c.by, wire.ProjectUpdate, dataTarget(r)):
		return true
	case s.DeviceKey.Valid():
		return a.Authorizer.Sees(ctx, c.by, Target{Kind: "device", Project: r.Project, Key: s.DeviceKey})
	default:
		return s.Role == string(realms.RoleConsole) && s.AuthID == c.by.AuthID()
	}
}

// mayEnd decides who ends a session in the realm of a project's devices: who may suspend the device, whose it is, and who
// may change the project.
func (a *API) mayEnd(ctx context.Context, c caller, r realms.Realm, s Session) error {
	if r.Kind != realms.Devices || s.Role == string(realms.RoleConsole) && s.AuthID == c.by.AuthID() {
		return nil
	}
	if s.DeviceKey.Valid() {
		return a.may(ctx, c, wire.DeviceUpdate, Target{Kind: "device", Project: r.Project, Key: s.DeviceKey})
	}
	return a.may(ctx, c, wire.ProjectUpdate, dataTarget(r))
}

func (a *API) registerSessions() {
	handle(a, route{method: http.MethodGet, path: "/realms/{realm}/sessions", id: "list-sessions", tag: "sessions", summary: "List the WAMP sessions of a realm", flag: wire.DataBackendRead}, a.listSessions)
	handle(a, route{method: http.MethodDelete, path: "/realms/{realm}/sessions/{session}", id: "end-session", tag: "sessions", summary: "End a WAMP session", flag: wire.DataBackendWrite}, a.endSession)
}

func (a *API) listSessions(ctx context.Context, c caller, in *realmListInput) (*reply[List[Session]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var from uint64
	if after != "" {
		if from, err = strconv.ParseUint(after, 10, 64); err != nil {
			return nil, errs.As(wire.Invalid, err, "cursor: want what the page before gave as next")
		}
	}
	found, err := a.Sessions.Sessions(ctx, in.realm.Name())
	if err != nil {
		return nil, err
	}
	// Sessions come and go between pages; by id, none that stays is shown twice or left out.
	found = slices.DeleteFunc(slices.Clone(found), func(s Session) bool { return s.Session <= from || !a.shows(ctx, c, in.realm, s) })
	slices.SortFunc(found, func(a, b Session) int { return cmp.Compare(a.Session, b.Session) })
	page := pageOf(found, in.Limit, func(s Session) string { return strconv.FormatUint(s.Session, 10) },
		func(s Session) (Session, bool) { return s, true })
	return &reply[List[Session]]{Body: page}, nil
}

func (a *API) endSession(ctx context.Context, c caller, in *sessionInput) (*nothing, error) {
	known, err := a.Sessions.Sessions(ctx, in.realm.Name())
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(known, func(s Session) bool { return s.Session == in.Session })
	if at < 0 || !a.shows(ctx, c, in.realm, known[at]) {
		return nil, errs.E(wire.NotFound, "no such session")
	}
	if err := a.mayEnd(ctx, c, in.realm, known[at]); err != nil {
		return nil, err
	}
	if known[at].Role == string(realms.RoleBackend) { // without it nobody could store or read rows
		return nil, errs.E(wire.Denied, "this session is the server's own")
	}
	name := in.realm.Name() + "/" + strconv.FormatUint(in.Session, 10)
	entry := audit.New(c.actor, audit.SessionKill, in.realm.Project, audit.Asset{Kind: "session", Name: name})
	if err := a.Audit.Record(ctx, entry); err != nil {
		return nil, err
	}
	return &nothing{}, a.Sessions.EndSession(ctx, in.realm.Name(), in.Session)
}
