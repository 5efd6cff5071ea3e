package message

import (
	"slices"

	"github.com/gammazero/nexus/v3/wamp"
)

// clientRoles are what a client can be.
var clientRoles = []string{"callee", "caller", "publisher", "subscriber"}

// helloDetails reads what a client says of itself. The roles are most of it; what they announce is kept, and not as a Dict: each
// join has one.
func (h *head) helloDetails(m *Hello) {
	m.Details = Dict{}
	q, ok := h.openDict(whatDetails)
	for ok && h.more(&q) {
		key := h.key(&q)
		if key == optRoles {
			m.Roles = h.roles()
			continue
		}
		h.weight += entryWeight
		m.Details[key] = h.any()
	}
}

// roles reads a dictionary of roles. What is no role, or no feature that is true, announces nothing.
func (h *head) roles() (roles []Role) {
	h.entries(func(name string) {
		features := h.features()
		if slices.Contains(clientRoles, name) {
			roles = append(roles, Role{name, features})
		}
	})
	return roles
}

func (h *head) features() (names []string) {
	h.entries(func(key string) {
		if key != optFeatures {
			h.skip()
			return
		}
		h.entries(func(name string) {
			t := h.value()
			if h.skipRest(t); h.charge(t) && t.kind == kindBool && t.num != 0 {
				names = append(names, name)
			}
		})
	})
	return names
}

// entries reads the next value, and has each entry's value read where it is a dictionary.
func (h *head) entries(read func(key string)) {
	t := h.value()
	if t.kind != kindDict {
		h.skipRest(t)
		return
	}
	for q := h.in(t); h.more(&q); {
		read(h.key(&q))
	}
}

// All gives all that was said, in a dictionary that is the caller's.
func (m *Hello) All() wamp.Dict {
	out := open(m.Details)
	if m.Roles != nil {
		out[optRoles] = rolesDict(m.Roles)
	}
	return out
}

// rolesDict is what a client says of its roles.
func rolesDict(roles []Role) Dict {
	out := Dict{}
	for _, role := range roles {
		entry := Dict{}
		if len(role.Features) > 0 {
			features := Dict{}
			for _, name := range role.Features {
				features[name] = true
			}
			entry[optFeatures] = features
		}
		out[role.Name] = entry
	}
	return out
}
