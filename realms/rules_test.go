package realms_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/realms"
	"bulkhead/wire"
)

var (
	dataRealm   = realms.OfInstallation(1, 2, wire.Prod)
	deviceRealm = realms.OfProject(1)

	device  = realms.Principal{Role: realms.RoleDevice, Project: 1, Device: 3}
	foreign = realms.Principal{Role: realms.RoleDevice, Project: 9, Device: 3}
	agent   = realms.Principal{Role: realms.RoleAgent, Project: 1, Device: 3}
	service = realms.Principal{Role: realms.RoleService, Project: 1}
	console = realms.Principal{Role: realms.RoleConsole, Project: 1}
	backend = realms.Principal{Role: realms.RoleBackend, Project: 1}

	actions = []realms.Action{realms.Publish, realms.Subscribe, realms.Call, realms.Register}
	words   = map[byte]realms.Action{'p': realms.Publish, 's': realms.Subscribe, 'c': realms.Call, 'r': realms.Register}
)

// The table of docs/wire.md, line by line: what a device may do with a URI, as letters of publish, subscribe, call, register.
func TestWhatADeviceMayDoInItsDataRealm(t *testing.T) {
	t.Parallel()
	for uri, may := range map[string]string{
		"1.2.metrics": "p", "bulk.1.2.metrics": "p", "append.1.2.metrics": "c", "appendBulk.1.2.metrics": "c",
		"transformed.metrics": "s", "transformed.bulk.metrics": "s", "history.transformed.metrics": "c", "history.transformed.series.metrics": "c",
		"databackend.errors.metrics": "c", "1.3.2.PROD.reboot": "pcr", "1.4.2.PROD.reboot": "pc", "1.3.2.PROD.motor.start": "pcr",
		"com.example.topic": "psc", "onlocation": "psc", "wamper.x": "psc", "system.x": "psc", "histories": "psc",
		"wamp.session.get": "c", "wamp.session.list": "", "wamp.session.on_join": "", "wamp.subscription.list": "", "wamp": "", "sys.agent.assignments": "", "sys": "",
		"01.2.metrics": "", "9.2.metrics": "", "1.9.metrics": "", "1.2": "", "1": "", "1.2.a.b": "", "1.3.2.DEV.reboot": "", "1.3.9.PROD.reboot": "",
		"1.3.2.prod.reboot": "", "1.3.2.PROD": "", "append.9.2.metrics": "", "append.1.9.metrics": "", "append": "", "history.x": "", "history": "",
		"transformed": "", "bulk.9.2.metrics": "", "bulk.x": "", "device.x": "psc", "": "", "7up": "",
	} {
		for letter, action := range words {
			want := strings.ContainsRune(may, rune(letter))
			if got := realms.May(dataRealm, device, action, uri, realms.Exact); got != want {
				t.Errorf("device %c %q: %v, want %v", letter, uri, got, want)
			}
		}
	}
}

func TestPatternsAreAllowedOnlyWhereAllTheyMatchIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		who     realms.Principal
		action  realms.Action
		pattern string
		match   realms.Match
		want    bool
	}{
		{device, realms.Subscribe, "transformed.", realms.Prefix, true},
		{device, realms.Subscribe, "transformed.met", realms.Prefix, true},
		{device, realms.Subscribe, "transformed", realms.Prefix, false}, // also matches "transformedX", and "transformed" itself
		{device, realms.Subscribe, "com.example.", realms.Prefix, true},
		{device, realms.Subscribe, "com", realms.Prefix, true},
		{device, realms.Subscribe, "", realms.Prefix, false},
		{device, realms.Subscribe, "w", realms.Prefix, false},
		{device, realms.Subscribe, "wamp.", realms.Prefix, false},
		{device, realms.Subscribe, "h", realms.Prefix, false},
		{device, realms.Subscribe, "hi.", realms.Prefix, true},
		{device, realms.Subscribe, "1.", realms.Prefix, false},
		{device, realms.Subscribe, ".x", realms.Wildcard, false},
		{device, realms.Subscribe, ".", realms.Wildcard, false},
		{device, realms.Subscribe, "com..x", realms.Wildcard, true},
		{device, realms.Subscribe, "transformed.", realms.Wildcard, true},
		{device, realms.Subscribe, "transformed..", realms.Wildcard, true},
		{device, realms.Subscribe, "wamp.session.", realms.Wildcard, false},
		{device, realms.Register, "1.3.2.PROD.", realms.Prefix, true},
		{device, realms.Register, "1.3.2.PROD", realms.Prefix, false},
		{device, realms.Register, "1.3.2.", realms.Prefix, false},
		{device, realms.Register, "1.", realms.Prefix, false},
		{device, realms.Register, "1..2.PROD.x", realms.Wildcard, false},
		{device, realms.Register, "1.3.2.PROD.", realms.Wildcard, true},
		{device, realms.Subscribe, "com.example", realms.Match(7), false},
		{service, realms.Subscribe, "", realms.Prefix, true},
		{service, realms.Register, "", realms.Prefix, false},
		{service, realms.Register, "wa", realms.Prefix, false},
		{service, realms.Register, ".x", realms.Wildcard, false},
		{service, realms.Register, "1.", realms.Prefix, true},
		{service, realms.Subscribe, "", realms.Match(7), false},
	} {
		if got := realms.May(dataRealm, c.who, c.action, c.pattern, c.match); got != c.want {
			t.Errorf("%s action %d pattern %q match %d: %v, want %v", c.who.Role, c.action, c.pattern, c.match, got, c.want)
		}
	}
}

func TestADeviceOfAnotherProjectMayDoNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		uri, match := drawPattern(t), drawMatch(t)
		action := rapid.SampledFrom(actions).Draw(t, "action")
		for _, r := range []realms.Realm{dataRealm, deviceRealm, {}} {
			for _, role := range []realms.Role{realms.RoleDevice, realms.RoleAgent, realms.RoleService, realms.RoleConsole, realms.RoleBackend, "", "admin"} {
				for _, project := range []wire.Key{0, 9} {
					p := realms.Principal{Role: role, Project: project, Device: 3}
					if realms.May(r, p, action, uri, match) {
						t.Fatalf("%+v may %d %q in %s", p, action, uri, r.Name())
					}
				}
			}
		}
	})
	if realms.May(dataRealm, foreign, realms.Subscribe, "com.x", realms.Exact) {
		t.Error("a foreign device may subscribe")
	}
}

func TestAnAgentReachesItselfAndTheBackendOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		who    realms.Principal
		action realms.Action
		uri    string
		want   bool
	}{
		{agent, realms.Register, "1.3.ping", true},
		{agent, realms.Register, "1.4.ping", false},
		{agent, realms.Register, "1.3", false},
		{agent, realms.Publish, "1.3.presence", true},
		{agent, realms.Publish, "1.4.presence", false},
		{agent, realms.Call, "sys.agent.assignments", true},
		{agent, realms.Call, "sys.agent.recording", true},
		{agent, realms.Register, "sys.agent.recording", false},
		{console, realms.Call, "sys.agent.recording", false},
		{agent, realms.Call, "1.4.ping", false},
		{agent, realms.Call, "1.3.ping", false},
		{agent, realms.Call, "com.x", false},
		{agent, realms.Subscribe, "sys.agent.3.assignments_changed", true},
		{agent, realms.Subscribe, "sys.agent.4.assignments_changed", false},
		{agent, realms.Register, "sys.agent.assignments", false},
		{agent, realms.Subscribe, "wamp.session.on_join", false},
		{device, realms.Call, "1.3.ping", false}, // a data realm's role is none in a device realm
		{service, realms.Call, "1.3.ping", false},
		{console, realms.Call, "1.3.ping", true},
		{console, realms.Subscribe, "1.3.presence", true},
		{console, realms.Register, "1.3.ping", false},
		{console, realms.Publish, "1.3.presence", false},
		{console, realms.Call, "sys.agent.assignments", false},
		{backend, realms.Register, "sys.agent.assignments", true},
		{backend, realms.Publish, "wamp.session.on_join", false},
	} {
		if got := realms.May(deviceRealm, c.who, c.action, c.uri, realms.Exact); got != c.want {
			t.Errorf("%s action %d %q: %v, want %v", c.who.Role, c.action, c.uri, got, c.want)
		}
	}
}

func TestNobodyPublishesInTheRoutersName(t *testing.T) {
	t.Parallel()
	for _, r := range []realms.Realm{dataRealm, deviceRealm} {
		for _, p := range []realms.Principal{device, agent, service, console, backend} {
			for _, a := range []realms.Action{realms.Publish, realms.Register} {
				for _, uri := range []string{"wamp.session.on_leave", "wamp.x", "wamp"} {
					if realms.May(r, p, a, uri, realms.Exact) {
						t.Errorf("%s may %d %s in %s", p.Role, a, uri, r.Name())
					}
				}
			}
		}
	}
}

// oracle is what a device may do with one URI, written a second time as regular expressions.
var oracle = map[realms.Action]*regexp.Regexp{
	realms.Publish:   regexp.MustCompile(`^(1\.2\.[^.]*|bulk\.1\.2\.[^.]*|1\.[^.]*\.2\.PROD\..*)$`),
	realms.Subscribe: regexp.MustCompile(`^transformed\..*$`),
	realms.Call:      regexp.MustCompile(`^((append|appendBulk)\.1\.2\.[^.]*|history\.transformed\..*|databackend\.errors\.[^.]*|1\.[^.]*\.2\.PROD\..*|wamp\.session\.get)$`),
	realms.Register:  regexp.MustCompile(`^1\.3\.2\.PROD\..*$`),
}

func oracleMay(a realms.Action, uri string) bool {
	first, _, _ := strings.Cut(uri, ".")
	isFree := uri != "" && !(uri[0] >= '0' && uri[0] <= '9') && !slices.Contains(wire.Reserved, first) && a != realms.Register
	return isFree || oracle[a].MatchString(uri)
}

func TestADecisionAgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		uri := drawPattern(t)
		for _, a := range actions {
			if got, want := realms.May(dataRealm, device, a, uri, realms.Exact), oracleMay(a, uri); got != want {
				t.Fatalf("action %d %q: %v, want %v", a, uri, got, want)
			}
		}
	})
}

func TestAnAllowedPatternMatchesNothingThatIsDenied(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern, match, uri := drawPattern(t), drawMatch(t), drawPattern(t)
		if rapid.Bool().Draw(t, "extend") {
			uri = pattern + uri // makes prefixes match often
		}
		for _, p := range []realms.Principal{device, agent, service, console, backend} {
			for _, r := range []realms.Realm{dataRealm, deviceRealm} {
				for _, a := range []realms.Action{realms.Subscribe, realms.Register} {
					if realms.May(r, p, a, pattern, match) && match.Matches(pattern, uri) && !realms.May(r, p, a, uri, realms.Exact) {
						t.Fatalf("%s in %s: action %d is allowed on %q (match %d), which matches %q", p.Role, r.Name(), a, pattern, match, uri)
					}
				}
			}
		}
	})
}

func drawPattern(t *rapid.T) string {
	component := rapid.SampledFrom([]string{
		"", "1", "2", "3", "9", "02", "wamp", "wam", "sys", "transformed", "trans", "bulk", "append", "appendBulk", "history", "databackend", "errors",
		"session", "get", "agent", "PROD", "DEV", "com", "x", "series",
	})
	return strings.Join(rapid.SliceOfN(component, 1, 6).Draw(t, "components"), ".")
}

func drawMatch(t *rapid.T) realms.Match {
	return rapid.SampledFrom([]realms.Match{realms.Exact, realms.Prefix, realms.Wildcard}).Draw(t, "match")
}

func FuzzPatterns(f *testing.F) {
	f.Add("transformed.", "transformed.metrics", uint8(1))
	f.Add("1..2.PROD.x", "1.3.2.PROD.x", uint8(2))
	f.Fuzz(func(t *testing.T, pattern, uri string, m uint8) {
		match := realms.Match(m)
		for _, a := range []realms.Action{realms.Subscribe, realms.Register} {
			if realms.May(dataRealm, device, a, pattern, match) && match.Matches(pattern, uri) && !realms.May(dataRealm, device, a, uri, realms.Exact) {
				t.Fatalf("%q (match %d) is allowed and matches %q, which is not", pattern, match, uri)
			}
		}
	})
}
