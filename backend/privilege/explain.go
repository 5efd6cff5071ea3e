package privilege

import (
	"fmt"
	"time"

	"bulkhead/wire"
)

// Explanation tells why somebody may do something, or why not.
type Explanation struct {
	Allowed bool     `json:"allowed"`
	Reasons []Reason `json:"reasons"`
}

// Reason is one rule that was looked at, with the grant where one made it.
type Reason struct {
	Rule  string `json:"rule" enum:"unknown,suspended,self,scope,platform_owner,platform_app,owner,app_owner,member,limited,default,grant"`
	Says  string `json:"says" enum:"allow,deny,nothing"`
	Text  string `json:"text" doc:"For people"`
	Grant *Grant `json:"grant,omitempty"`
}

// What a reason says. Where one denies, or where none allows, the answer is no.
const (
	says   = "allow"
	denies = "deny"
	silent = "nothing"
)

// explainer collects reasons.
type explainer struct {
	bit Set
	on  Asset
	now time.Time
	out Explanation
}

func (e *explainer) add(rule, what, format string, args ...any) {
	e.out.Reasons = append(e.out.Reasons, Reason{Rule: rule, Says: what, Text: fmt.Sprintf(format, args...)})
}

// Explain tells what May decides and why, by the same rule in words.
func (s *Snapshot) Explain(by Subject, flag wire.Flag, on Asset, now time.Time) Explanation {
	e := explainer{bit: index[flag] & flagsOf[on.Kind], on: on, now: now}
	s.explain(&e, by, flag)
	e.out.Allowed = s.May(by, flag, on, now)
	return e.out
}

func (s *Snapshot) explain(e *explainer, by Subject, flag wire.Flag) {
	p, ok := s.principals.get(by.Key)
	switch {
	case !ok:
		e.add("unknown", denies, "nobody is known by the key %s", by.Key)
		return
	case e.bit == 0:
		e.add("unknown", denies, "%s is no privilege on a %s", flag, e.on.Kind)
		return
	case p.Suspended:
		e.add("suspended", denies, "%s is suspended", p.Name)
		return
	case e.on.Kind == wire.AssetSelf:
		e.add("self", says, "everybody may")
		return
	}
	if by.Scoped && by.Scopes&e.bit == 0 {
		e.add("scope", denies, "the API key's scopes do not name %s", flag)
		return
	}
	if e.on.Kind == wire.AssetPlatform || e.on.Project == 0 {
		s.explainPlatform(e, *p)
	}
	if at, ok := s.projects.get(e.on.Project); ok && e.on.Kind != wire.AssetPlatform {
		h, has := at.holders.get(by.Key)
		if !has {
			h = &holder{}
		}
		h.explain(e, at, p.Name)
	}
}

func (s *Snapshot) explainPlatform(e *explainer, p Principal) {
	switch {
	case p.Owner:
		e.add("platform_owner", says, "%s is an owner of the platform", p.Name)
	case everybody&e.bit != 0:
		e.add("platform_app", says, "the app is the platform's, which everybody may see and install")
	default:
		e.add("platform_owner", silent, "%s is no owner of the platform", p.Name)
	}
}

func (h *holder) explain(e *explainer, at *project, name string) {
	if at.key != 0 {
		if h.owner {
			e.add("owner", says, "%s owns the project, and so has every privilege in it", name)
			return
		}
		e.add("owner", silent, "%s does not own the project", name)
	}
	if e.on.Kind == wire.AssetApp {
		for _, app := range h.apps {
			if app == e.on.Key {
				e.add("app_owner", says, "%s owns the app", name)
				return
			}
		}
	}
	if at.key != 0 && !h.member {
		e.add("member", denies, "%s is not a member of the project", name)
		return
	}
	in := at.groupsOf(e.on)
	switch {
	case e.bit == reading[wire.AssetProject]:
		e.add("member", says, "%s is a member of the project", name)
		return
	case !h.reaches(e.on, in):
		e.add("limited", denies, "%s is limited to groups, and this is not in one of them", name)
		return
	case !h.reachedWide(e.on):
		e.add("limited", silent, "%s is limited to groups: what holds for the whole project does not hold here", name)
	case at.defaults&e.bit != 0:
		e.add("default", says, "the project's defaults give it to each member")
	default:
		e.add("default", silent, "the project's defaults do not give it")
	}
	e.grants(h, at, in)
}

// grants tells of each grant that could have given the flag.
func (e *explainer) grants(h *holder, at *project, in []wire.Key) {
	before := len(e.out.Reasons)
	if h.reachedWide(e.on) || e.on.Kind == wire.AssetProject {
		e.each(h.wide, "on the project")
	}
	if e.on.Kind != wire.AssetProject {
		e.each(h.direct[refOf(e.on)], "on this")
	}
	for _, group := range in {
		e.each(h.direct[ref(group)<<codeBits|groupCode], "on a group that it is in")
	}
	if len(e.out.Reasons) == before {
		e.add("grant", silent, "nobody has granted it")
	}
}

func (e *explainer) each(list []given, where string) {
	now := e.now.UnixMicro()
	for _, g := range list {
		if g.flags&e.bit == 0 {
			continue
		}
		r := Reason{Rule: "grant", Says: says, Text: "it is granted " + where, Grant: g.grant}
		switch {
		case now < g.from:
			r.Says, r.Text = silent, "it is granted "+where+" from "+stamp(g.grant.From)+" on, which is not yet"
		case now >= g.until:
			r.Says, r.Text = silent, "it was granted "+where+" until "+stamp(g.grant.Until)
		}
		e.out.Reasons = append(e.out.Reasons, r)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
