package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"bulkhead/wire"
)

// Question is what is asked of a policy.
type Question struct {
	Target   wire.Target
	EndToEnd bool // the gateway cannot read it
	Recorded bool // it is recorded
	At       time.Time
}

// Answer is a policy's. The zero Answer is no.
type Answer struct {
	Allowed bool
	Reason  string // why not, for the people at the device and for the one who asked
	Rule    Rule   // the one that allows it
}

// Decide answers by the first rule that allows what is asked. Where none does, the reason is of the rule that came
// closest.
func (p Policy) Decide(q Question) Answer {
	if err := q.Target.Check(); err != nil {
		return Answer{Reason: err.Error()}
	}
	closest, reason := -1, fmt.Sprintf("no rule of the device's policy names %s", q.Target)
	for _, r := range p.Rules {
		missing, why := r.lacks(q)
		if why == "" {
			return Answer{Allowed: true, Rule: r}
		}
		if missing > closest {
			closest = missing
			if missing > 0 {
				reason = why
			}
		}
	}
	return Answer{Reason: reason}
}

// lacks gives how far a rule comes and why it does not allow what is asked; "" where it does.
func (r Rule) lacks(q Question) (far int, why string) {
	switch {
	case r.Protocol != q.Target.Protocol, !r.covers(q.Target):
		return 0, "not named"
	case !r.Hours.Contain(q.At):
		return 1, fmt.Sprintf("the device's policy does not allow %s at this hour", q.Target)
	case r.EndToEnd && !q.EndToEnd:
		return 2, fmt.Sprintf("the device's policy allows %s only with encryption from end to end", q.Target)
	case r.Record && !q.Recorded:
		return 3, fmt.Sprintf("the device's policy allows %s only with a recording", q.Target)
	default:
		return 4, ""
	}
}

func (r Rule) covers(t wire.Target) bool {
	if t.Protocol == wire.ProtocolPTY {
		return true
	}
	if !slices.ContainsFunc(r.Ports, func(p Ports) bool { return p.First <= t.Port && t.Port <= p.Last }) {
		return false
	}
	if addr, err := netip.ParseAddr(t.Host); err == nil {
		return r.Reaches(addr)
	}
	return slices.Contains(r.Names, t.Host)
}

// Reaches reports whether an address may be dialled by the rule: those that a name resolves to are asked about too, at
// the moment of dialling. Addresses of the link, where clouds keep the machine's credentials, are reached only when they
// are named alone; those that are no single machine never are.
func (r Rule) Reaches(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	return slices.ContainsFunc(r.Addresses, func(p netip.Prefix) bool {
		return p.Contains(a) && (p.IsSingleIP() || !linkOnly(a))
	})
}

// linkOnly are addresses that mean something else on each machine and are where clouds put their metadata services.
func linkOnly(a netip.Addr) bool {
	return a.IsLinkLocalUnicast() || a == netip.MustParseAddr("fd00:ec2::254") || a == netip.MustParseAddr("100.100.100.200")
}
