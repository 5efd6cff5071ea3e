package granting_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/privilege"
	"bulkhead/backend/privilege/granting"
	"bulkhead/realms"
	"bulkhead/wire"
)

const (
	own, another, none wire.Key = 100, 200, 300 // projects; the last is none
	app, device        wire.Key = 31, 11
	member, suspended  wire.Key = 1, 2
	stranger           wire.Key = 3 // owns the other project
)

var (
	now      = time.Unix(1_800_000_000, 0)
	actions  = []realms.Action{realms.Publish, realms.Subscribe, realms.Call, realms.Register}
	dataAt   = func(project wire.Key) realms.Realm { return realms.OfInstallation(project, app, wire.Prod) }
	deviceAt = realms.OfProject
)

// fixed is a database that does not change.
type fixed struct {
	granting.Following
	all granting.Everything
}

func (f fixed) Everything(context.Context) (granting.Everything, error) { return f.all, nil }

// holding makes what decides where a member holds the flags in the whole of one project, and of no other.
func holding(t *testing.T, flags ...wire.Flag) granting.Console {
	t.Helper()
	p := privilege.Project{Key: own, Revision: 1, Owners: []wire.Key{suspended}, Members: []privilege.Member{{Project: own, Principal: member}}}
	if len(flags) > 0 {
		p.Grants = []privilege.Grant{{Key: 1, Principal: member, Asset: privilege.ProjectAsset(own), Flags: flags}}
	}
	return console(t, p)
}

func console(t *testing.T, p privilege.Project) granting.Console {
	t.Helper()
	store := fixed{all: granting.Everything{
		Principals: []privilege.Principal{{Key: member}, {Key: suspended, Suspended: true}, {Key: stranger, Owner: true}},
		Projects:   []privilege.Project{p, {Key: another, Revision: 1, Owners: []wire.Key{stranger}}},
	}}
	live := granting.NewLive(store, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err := live.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return granting.Console{Live: live, Now: func() time.Time { return now }}
}

func session(who wire.Key, scopes string) realms.Principal {
	return realms.Principal{Role: realms.RoleConsole, AuthID: who.String(), Project: own, Login: "login", Scopes: scopes}
}

// asks is what each action on a URI asks for: publish, subscribe, call, register; "" is allowed to nobody.
type asks struct {
	uri   string
	kind  realms.Kind
	flags [4]wire.Flag
}

var (
	reads    = [4]wire.Flag{wire.DataBackendWrite, wire.DataBackendRead, wire.DataBackendRead, ""}
	writes   = [4]wire.Flag{wire.DataBackendWrite, wire.DataBackendRead, wire.DataBackendWrite, ""}
	watches  = [4]wire.Flag{"", wire.DeviceRead, wire.DeviceRead, ""}
	maintain = [4]wire.Flag{"", wire.DeviceRead, wire.DeviceMaintain, ""}
)

// named has what wire gives names to, by these names.
var named = map[string]asks{
	"TableTopic":           {wire.TableTopic(own, app, "t"), realms.Data, writes},
	"BulkTopic":            {wire.BulkTopic(own, app, "t"), realms.Data, writes},
	"AppendProcedure":      {wire.AppendProcedure(own, app, "t").URI, realms.Data, writes},
	"AppendBulkProcedure":  {wire.AppendBulkProcedure(own, app, "t").URI, realms.Data, writes},
	"TransformedTopic":     {wire.TransformedTopic("t").URI, realms.Data, writes},
	"TransformedBulkTopic": {wire.TransformedBulkTopic("t").URI, realms.Data, writes},
	"HistoryProcedure":     {wire.HistoryProcedure("t").URI, realms.Data, reads},
	"SeriesProcedure":      {wire.SeriesProcedure("t").URI, realms.Data, reads},
	"RowErrorsProcedure":   {wire.RowErrorsProcedure("t").URI, realms.Data, reads},
	"DeviceFunction":       {wire.DeviceFunction(own, device, app, wire.Prod, "f"), realms.Data, [4]wire.Flag{wire.DeviceWrite, wire.DataBackendRead, wire.DeviceWrite, ""}},

	"AgentFunction":      {wire.AgentFunction(own, device, "f"), realms.Devices, maintain},
	"FunctionPing":       {wire.AgentFunction(own, device, wire.FunctionPing), realms.Devices, watches},
	"FunctionInfo":       {wire.AgentFunction(own, device, wire.FunctionInfo), realms.Devices, watches},
	"FunctionMetrics":    {wire.AgentFunction(own, device, wire.FunctionMetrics), realms.Devices, watches},
	"TunnelOpen":         {wire.TunnelOpen(own, device).URI, realms.Devices, maintain},
	"TerminalAsk":        {wire.TerminalAsk(own, device).URI, realms.Devices, maintain},
	"TunnelExtend":       {wire.TunnelExtend(own, device).URI, realms.Devices, maintain},
	"TunnelClose":        {wire.TunnelClose(own, device).URI, realms.Devices, maintain},
	"Assignments":        {wire.Assignments.URI, realms.Devices, maintain},
	"RecordChunk":        {wire.RecordChunk.URI, realms.Devices, maintain},
	"AssignmentsChanged": {wire.AssignmentsChanged(device).URI, realms.Devices, maintain},
	"Presence":           {wire.Presence(own, device).URI, realms.Devices, maintain},
}

// unnamed has what WAMP itself offers, and what wire leaves to others.
var unnamed = []asks{
	{"free.topic", realms.Data, writes}, {"wamp.session.list", realms.Data, reads}, {"wamp.session.kill", realms.Data, writes}, {"wamp.session.kill_all", realms.Data, writes},
	{"wamp.session.kill_by_authid", realms.Data, writes}, {"wamp.registration.match", realms.Data, reads}, {"history.anything", realms.Data, reads}, {"databackend.write.t", realms.Data, writes}, {"", realms.Data, writes},
	{"wamp.session.list", realms.Devices, watches}, {"wamp.session.kill", realms.Devices, [4]wire.Flag{"", wire.ProjectUpdate, wire.ProjectUpdate, ""}}, {"", realms.Devices, maintain},
}

// namesOfURIs reads from the source of wire what makes a URI: functions and variables that give procedures, topics or what
// is joined from components, and the names of functions of agents.
func namesOfURIs(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("../../../wire/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			names = append(names, urisOf(d)...)
		}
	}
	return names
}

func urisOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Recv == nil && mentions(d, "Procedure", "Topic", "join") {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for _, name := range v.Names {
				agents := strings.HasPrefix(name.Name, "Function") && !strings.HasPrefix(name.Name, "FunctionTunnel") // those have procedures
				if name.IsExported() && (agents || mentions(v, "Procedure", "Topic")) {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

func mentions(n ast.Node, words ...string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && slices.Contains(words, id.Name)
		return !found
	})
	return found
}

func all(t *testing.T) []asks {
	t.Helper()
	list := slices.Clone(unnamed)
	names := namesOfURIs(t)
	for _, name := range names {
		a, ok := named[name]
		if !ok {
			t.Errorf("nothing says what wire.%s asks for", name)
		}
		list = append(list, a)
	}
	if len(names) != len(named) {
		t.Errorf("wire names %d URIs, and %d are known", len(names), len(named))
	}
	return list
}

// realm gives the realm of a project in which a URI is, and the flag that entering it asks for.
func (a asks) realm(project wire.Key) (realms.Realm, wire.Flag) {
	if a.kind == realms.Data {
		return dataAt(project), wire.DataBackendRead
	}
	return deviceAt(project), wire.ProjectRead
}

func without(out ...wire.Flag) (flags []wire.Flag) {
	for _, p := range wire.Catalogue {
		if k := p.Flag.Kind(); k != wire.AssetPlatform && k != wire.AssetSelf && !slices.Contains(out, p.Flag) {
			flags = append(flags, p.Flag)
		}
	}
	return flags
}

func words(flags []wire.Flag) string {
	var list []string
	for _, f := range flags {
		list = append(list, string(f))
	}
	return strings.Join(list, " ")
}

func TestEveryActionOfAConsoleAsksForItsPrivilege(t *testing.T) {
	t.Parallel()
	everything := holding(t, without()...)
	for _, a := range all(t) {
		here, enter := a.realm(own)
		for i, action := range actions {
			flag, p := a.flags[i], session(member, "*")
			if flag == "" {
				if everything.May(p, here, action, a.uri, realms.Exact) {
					t.Errorf("action %d on %q in %s is allowed", action, a.uri, here.Name())
				}
				continue
			}
			if !holding(t, enter, flag).May(p, here, action, a.uri, realms.Exact) {
				t.Errorf("action %d on %q in %s is refused to who holds %s", action, a.uri, here.Name(), flag)
			}
			if flag != wire.ProjectRead && holding(t, without(flag)...).May(p, here, action, a.uri, realms.Exact) {
				t.Errorf("action %d on %q in %s does not ask for %s", action, a.uri, here.Name(), flag)
			}
			if everything.May(session(member, words(without(flag))), here, action, a.uri, realms.Exact) {
				t.Errorf("action %d on %q in %s is open to a key without %s", action, a.uri, here.Name(), flag)
			}
		}
	}
}

func TestNobodyReachesFromOneProjectIntoAnother(t *testing.T) {
	t.Parallel()
	c := holding(t, without()...)
	for _, a := range all(t) {
		for _, action := range actions {
			for _, m := range []realms.Match{realms.Exact, realms.Prefix, realms.Wildcard} {
				here, _ := a.realm(own)
				for name, p := range map[string]realms.Principal{
					"the owner of another project and of the server": session(stranger, "*"), "a suspended owner": session(suspended, "*"), "who does not exist": session(99, "*"),
					"a key without scopes": session(member, ""), "no number": {Role: realms.RoleConsole, AuthID: "member", Scopes: "*"}, "another role": {Role: realms.RoleService, AuthID: member.String(), Scopes: "*"},
				} {
					if c.May(p, here, action, a.uri, m) || c.Enters(p, here) {
						t.Errorf("%s may do %d on %q in %s", name, action, a.uri, here.Name())
					}
				}
				for _, project := range []wire.Key{another, none} {
					there, _ := a.realm(project)
					if p := session(member, "*"); c.May(p, there, action, a.uri, m) || c.Enters(p, there) {
						t.Errorf("a member of one project may do %d on %q in %s", action, a.uri, there.Name())
					}
				}
			}
		}
	}
	if c.Enters(session(member, "*"), realms.Realm{}) || c.May(session(member, "*"), realms.Realm{}, realms.Call, "x", realms.Exact) {
		t.Error("no realm is open")
	}
}

func TestAMemberOfOneGroupHearsOfItsDevicesOnly(t *testing.T) {
	t.Parallel()
	const hall, other = wire.Key(21), wire.Key(12)
	c := console(t, privilege.Project{
		Key: own, Revision: 1, Members: []privilege.Member{{Project: own, Principal: member, Limited: true, Groups: []wire.Key{hall}}},
		Devices: []privilege.GroupDevice{{Group: hall, Device: device}},
		Grants:  []privilege.Grant{{Key: 1, Principal: member, Asset: privilege.ProjectAsset(own), Flags: []wire.Flag{wire.DeviceRead, wire.DeviceMaintain}}},
	})
	for _, one := range []struct {
		action realms.Action
		uri    string
		match  realms.Match
		want   bool
	}{
		{realms.Subscribe, wire.Presence(own, device).URI, realms.Exact, true},
		{realms.Subscribe, wire.Presence(own, other).URI, realms.Exact, false},
		{realms.Subscribe, own.String() + "." + device.String() + ".", realms.Prefix, true},
		{realms.Subscribe, own.String() + "." + device.String(), realms.Prefix, false}, // which is a beginning of other keys, too
		{realms.Subscribe, own.String() + ".", realms.Prefix, false},
		{realms.Subscribe, "", realms.Prefix, false},
		{realms.Subscribe, own.String() + "." + device.String() + ".", realms.Wildcard, true},
		{realms.Subscribe, own.String() + "..presence", realms.Wildcard, false},
		{realms.Subscribe, "." + device.String() + ".presence", realms.Wildcard, false},
		{realms.Subscribe, "wamp.session.on_join", realms.Exact, false},
		{realms.Call, "wamp.session.list", realms.Exact, false},
		{realms.Call, wire.AgentFunction(own, device, "restart"), realms.Exact, true},
		{realms.Call, wire.AgentFunction(own, other, wire.FunctionPing), realms.Exact, false},
		{realms.Call, wire.AgentFunction(another, device, wire.FunctionPing), realms.Exact, false},
	} {
		if got := c.May(session(member, "*"), deviceAt(own), one.action, one.uri, one.match); got != one.want {
			t.Errorf("action %d on %q (match %d): %v", one.action, one.uri, one.match, got)
		}
	}
	if c.Enters(session(member, "*"), dataAt(own)) {
		t.Error("a member of a group enters a realm of all the project's data")
	}
}
