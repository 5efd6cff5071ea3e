package realms

import (
	"slices"

	"bulkhead/wire"
)

// Role is a WAMP authrole. The zero Role may do nothing.
type Role string

// The roles.
const (
	RoleDevice  Role = "device"  // an agent or an app on a device, in a data realm
	RoleAgent   Role = "agent"   // an agent, in its project's device realm
	RoleService Role = "service" // a program of the tenant's, in one data realm
	RoleConsole Role = "console" // a person or an API key, by ticket
	RoleBackend Role = "backend" // this server's own sessions; no credential leads to it
)

// Principal is who a session is, as the router proved it. Nothing in it comes from what the client says of itself.
type Principal struct {
	Role    Role
	AuthID  string
	Project wire.Key // the project the principal belongs to
	Device  wire.Key // set for RoleDevice and RoleAgent
	Serial  wire.Serial
	Login   string // set for RoleConsole: the login whose end ends the session
	// Scopes are set for RoleConsole: the privileges that the login may use, with spaces between them; * names all.
	Scopes string
}

// Action is what a session asks to do with a URI.
type Action uint8

// The actions. The zero Action is never allowed.
const (
	NoAction Action = iota
	Publish
	Subscribe
	Call
	Register
)

// May decides whether p may do a in realm r with every URI that the pattern uri matches. It denies by default.
//
// Source: the table in docs/wire.md.
func May(r Realm, p Principal, a Action, uri string, m Match) bool {
	if a == Publish || a == Call {
		m = Exact
	}
	return slices.ContainsFunc(clauses(r, p, a), func(c clause) bool { return c.contains(uri, m) })
}

func clauses(r Realm, p Principal, a Action) []clause {
	if p.Project != r.Project || !p.Project.Valid() {
		return nil
	}
	switch r.Kind {
	case Data:
		return dataClauses(r, p, a)
	case Devices:
		return deviceRealmClauses(r, p, a)
	default:
		return nil
	}
}

func dataClauses(r Realm, p Principal, a Action) []clause {
	switch p.Role {
	case RoleDevice:
		return deviceClauses(r, p, a)
	case RoleService:
		return serviceClauses(a)
	case RoleConsole:
		if a == Register {
			return nil
		}
		return serviceClauses(a)
	case RoleBackend:
		return backendClauses(a)
	default:
		return nil
	}
}

// deviceClauses is what a device's app may do in its data realm.
func deviceClauses(r Realm, p Principal, a Action) []clause {
	project, app, stage := r.Project.String(), r.App.String(), r.Stage.Upper()
	functions := under(project, anyOne, app, stage)
	switch a {
	case Publish:
		return []clause{exactly(project, app, anyOne), exactly("bulk", project, app, anyOne), functions, free{}}
	case Subscribe:
		return []clause{under("transformed"), free{}}
	case Call:
		return []clause{
			exactly("append", project, app, anyOne), exactly("appendBulk", project, app, anyOne),
			under("history", "transformed"), exactly("databackend", "errors", anyOne),
			functions, exactly("wamp", "session", "get"), free{},
		}
	case Register:
		if !p.Device.Valid() {
			return nil
		}
		return []clause{under(project, p.Device.String(), app, stage)}
	default:
		return nil
	}
}

// serviceClauses is "anything in this one realm": all but speaking in the router's or the backend's name.
func serviceClauses(a Action) []clause {
	switch a {
	case Publish:
		return []clause{except("wamp", "sys", "transformed")}
	case Subscribe:
		return []clause{everything()}
	case Call:
		return []clause{everything()}
	case Register:
		return []clause{except("wamp", "sys", "append", "appendBulk", "history", "databackend")}
	default:
		return nil
	}
}

func backendClauses(a Action) []clause {
	switch a {
	case Publish, Register:
		return []clause{except("wamp")}
	case Subscribe, Call:
		return []clause{everything()}
	default:
		return nil
	}
}

// deviceRealmClauses keeps the devices of one project apart from each other: an agent reaches the backend and is reached.
func deviceRealmClauses(r Realm, p Principal, a Action) []clause {
	switch p.Role {
	case RoleAgent:
		return agentClauses(r, p, a)
	case RoleConsole:
		if a == Call || a == Subscribe {
			return []clause{under(r.Project.String()), under("wamp")}
		}
		return nil
	case RoleBackend:
		return backendClauses(a)
	default:
		return nil
	}
}

func agentClauses(r Realm, p Principal, a Action) []clause {
	if !p.Device.Valid() {
		return nil
	}
	project, device := r.Project.String(), p.Device.String()
	switch a {
	case Publish, Register:
		return []clause{under(project, device)}
	case Subscribe:
		return []clause{under("sys", "agent", device)}
	case Call:
		return []clause{exactly("sys", "agent", "assignments"), exactly("sys", "agent", "recording"), exactly("wamp", "session", "get")}
	default:
		return nil
	}
}
