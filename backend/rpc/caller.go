package rpc

import (
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// caller is who calls, as the router says.
type caller struct {
	authID string
	device wire.Key // zero where the caller is no device
}

// place finds out who calls in a realm. The router discloses callers here; one that it does not, or that the directory does
// not have in this project any more, is refused: what a caller may see depends on who it is.
func (s *Server) place(r realms.Realm, authID, role string) (caller, error) {
	switch realms.Role(role) {
	case realms.RoleService, realms.RoleConsole:
		return caller{authID: authID}, nil
	case realms.RoleDevice, realms.RoleAgent:
		d, ok := s.directory.Load().Device(wire.Serial(authID))
		if !ok || d.Project != r.Project || d.Suspended || !d.Key.Valid() {
			return caller{}, errs.E(wire.Denied, "this device is not one of the project's")
		}
		return caller{authID, d.Key}, nil
	default:
		return caller{}, errs.E(wire.Denied, "the caller is not known")
	}
}
