package policy_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/wire"
)

const sample = `
version: 1
allow:
  - protocol: tcp
    hosts: [127.0.0.1, "::1", 192.168.7.0/24, plc.local]
    ports: [22, "8000-8100"]
    rate: 10MiB
    max_streams: 16
  - protocol: tcp
    hosts: [10.0.0.9]
    ports: [502]
    hours: "06:00-22:00"
    days: [mon, tue, wed, thu, fri]
    e2e: required
  - protocol: tcp
    hosts: [0.0.0.0/0, "::/0"]
    ports: [443]
  - protocol: tcp
    hosts: [169.254.7.7]
    ports: [80]
  - protocol: pty
    user: operator
    shell: /bin/sh
    env: [LANG, TERM]
    recording: required
`

func parse(t *testing.T, text string) policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var monday = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestOnlyWhatARuleNamesIsAllowed(t *testing.T) {
	t.Parallel()
	p := parse(t, sample)
	for _, c := range []struct {
		host    string
		port    uint16
		e2e     bool
		at      time.Time
		allowed bool
	}{
		{"127.0.0.1", 22, false, monday, true},
		{"127.0.0.1", 23, false, monday, false},
		{"127.0.0.1", 8000, false, monday, true},
		{"127.0.0.1", 8100, false, monday, true},
		{"127.0.0.1", 8101, false, monday, false},
		{"127.0.0.2", 22, false, monday, false},
		{"::1", 22, false, monday, true},
		{"192.168.7.99", 8080, false, monday, true},
		{"192.168.8.1", 8080, false, monday, false},
		{"plc.local", 8080, false, monday, true},
		{"other.local", 8080, false, monday, false},
		{"10.0.0.9", 502, true, monday, true},
		{"10.0.0.9", 502, false, monday, false},
		{"10.0.0.9", 502, true, monday.Add(11 * time.Hour), false},
		{"10.0.0.9", 502, true, monday.Add(-24 * time.Hour), false},
		{"1.2.3.4", 443, false, monday, true},
		{"169.254.169.254", 443, false, monday, false}, // no range takes the metadata service in
		{"100.100.100.200", 443, false, monday, false},
		{"fd00:ec2::254", 443, false, monday, false},
		{"fe80::1", 443, false, monday, false},
		{"0.0.0.0", 443, false, monday, false},
		{"224.0.0.1", 443, false, monday, false},
		{"255.255.255.255", 443, false, monday, false},
		{"169.254.7.7", 80, false, monday, true}, // named alone
		{"0x7f.1", 22, false, monday, false},
		{"127.1", 22, false, monday, false},
		{"::ffff:127.0.0.1", 22, false, monday, false},
		{"", 22, false, monday, false},
	} {
		a := p.Decide(policy.Question{Target: wire.Target{Protocol: wire.ProtocolTCP, Host: c.host, Port: c.port}, EndToEnd: c.e2e, At: c.at})
		if a.Allowed != c.allowed || a.Allowed == (a.Reason != "") {
			t.Errorf("%s:%d: %v, %q", c.host, c.port, a.Allowed, a.Reason)
		}
	}
}

func TestAShellThatMustBeRecordedIsRefusedWithoutARecording(t *testing.T) {
	t.Parallel()
	p := parse(t, sample)
	a := p.Decide(policy.Question{Target: wire.PTY, EndToEnd: true, At: monday})
	if a.Allowed || !strings.Contains(a.Reason, "only with a recording") {
		t.Errorf("got %+v", a)
	}
	a = p.Decide(policy.Question{Target: wire.PTY, EndToEnd: true, Recorded: true, At: monday})
	if !a.Allowed || a.Rule.Shell.User != "operator" {
		t.Errorf("got %+v", a)
	}
}

func TestAShellThatTheGatewayReadsIsAllowedInWordsOnly(t *testing.T) {
	t.Parallel()
	for e2e, allowed := range map[string]bool{"": false, ", e2e: required": false, ", e2e: optional": true} {
		p := parse(t, "version: 1\nallow:\n  - {protocol: pty"+e2e+"}\n")
		if p.Decide(policy.Question{Target: wire.PTY, At: monday}).Allowed != allowed {
			t.Errorf("%q: want %v", e2e, allowed)
		}
		if !p.Decide(policy.Question{Target: wire.PTY, EndToEnd: true, At: monday}).Allowed {
			t.Errorf("%q: not even one that nobody reads", e2e)
		}
	}
}

func TestPagesAreAllowedInWordsOnly(t *testing.T) {
	t.Parallel()
	p := parse(t, `
version: 1
allow:
  - {protocol: tcp, hosts: [127.0.0.1], ports: [80]}
  - {protocol: http, hosts: [127.0.0.1], ports: [8080]}
  - {protocol: https, hosts: [127.0.0.1], ports: [8443], certificate: any}
`)
	for target, allowed := range map[string]bool{
		"127.0.0.1:80": true, "http://127.0.0.1:80": false, "http://127.0.0.1:8080": true, "127.0.0.1:8080": false,
		"https://127.0.0.1:8080": false, "https://127.0.0.1:8443": true, "http://127.0.0.1:8443": false, "http://127.0.0.2:8080": false,
	} {
		parsed, err := wire.ParseTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		a := p.Decide(policy.Question{Target: parsed, At: monday})
		if a.Allowed != allowed || a.Rule.Certificate.Any != (target == "https://127.0.0.1:8443") {
			t.Errorf("%s: %+v", target, a)
		}
	}
}

func TestTheZeroPolicyAllowsNothing(t *testing.T) {
	t.Parallel()
	if a := (policy.Policy{}).Decide(policy.Question{Target: wire.PTY, EndToEnd: true, Recorded: true, At: monday}); a.Allowed {
		t.Error("a shell")
	}
	if (policy.Rule{}).Reaches(netip.MustParseAddr("127.0.0.1")) {
		t.Error("an address")
	}
}

func TestANameReachesOnlyTheAddressesOfItsRule(t *testing.T) {
	t.Parallel()
	p := parse(t, sample)
	a := p.Decide(policy.Question{Target: wire.Target{Protocol: wire.ProtocolTCP, Host: "plc.local", Port: 8080}, At: monday})
	for addr, want := range map[string]bool{
		"192.168.7.4": true, "::ffff:192.168.7.4": true, "127.0.0.1": true, "10.1.1.1": false, "169.254.169.254": false, "::": false, "fe80::1": false,
	} {
		if a.Rule.Reaches(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: want %v", addr, want)
		}
	}
}

func TestHoursGoOverMidnight(t *testing.T) {
	t.Parallel()
	p := parse(t, "version: 1\nallow:\n  - {protocol: pty, hours: \"22:00-06:00\", days: [fri]}\n")
	friday := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	for hour, want := range map[int]bool{1: false, 12: false, 22: true, 23: true, 24: true, 29: true, 30: false, 46: false} {
		at := friday.Add(time.Duration(hour) * time.Hour)
		if p.Decide(policy.Question{Target: wire.PTY, EndToEnd: true, At: at}).Allowed != want {
			t.Errorf("%s: want %v", at, want)
		}
	}
}

func TestAPolicyThatIsHalfUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	const tcp = "version: 1\nallow:\n  - {protocol: tcp, hosts: [127.0.0.1], ports: [80]%s}\n"
	for text, says := range map[string]string{
		"":                                       "empty",
		"version: 2\nallow: []":                  "version",
		"allow: []":                              "version",
		"version: 1\nalow: []":                   "unknown key alow",
		"version: 1\n---\nversion: 1":            "more than one",
		fmt.Sprintf(tcp, ", recordings: x"):      "unknown key recordings",
		fmt.Sprintf(tcp, ", recording: yes"):     "recording",
		fmt.Sprintf(tcp, ", e2e: needed"):        "e2e",
		fmt.Sprintf(tcp, ", rate: 10MB"):         "rate",
		fmt.Sprintf(tcp, ", rate: -1"):           "rate",
		fmt.Sprintf(tcp, ", hours: all"):         "hours",
		fmt.Sprintf(tcp, ", hours: 24:00-25:0"):  "hours",
		fmt.Sprintf(tcp, ", days: [monday]"):     "days",
		fmt.Sprintf(tcp, ", max_streams: -1"):    "max_streams",
		fmt.Sprintf(tcp, ", user: root"):         "protocol pty",
		fmt.Sprintf(tcp, ", record_input: true"): "protocol pty",
		fmt.Sprintf(tcp, ", protocol: udp"):      "",
		"version: 1\nallow: [{protocol: udp}]":   "want tcp, http, https or pty",
		"version: 1\nallow: [{protocol: tcp}]":   "hosts and ports",
		"version: 1\nallow: [{protocol: tcp, hosts: [a.local], ports: [1]}]":         "name the addresses",
		"version: 1\nallow: [{protocol: tcp, hosts: [0x7f.1], ports: [1]}]":          "hosts",
		"version: 1\nallow: [{protocol: tcp, hosts: [\"*\"], ports: [1]}]":           "hosts",
		"version: 1\nallow: [{protocol: tcp, hosts: [10.0.0.7/8], ports: [1]}]":      "is written 10.0.0.0/8",
		"version: 1\nallow: [{protocol: tcp, hosts: [127.0.0.1], ports: [any]}]":     "ports",
		"version: 1\nallow: [{protocol: tcp, hosts: [127.0.0.1], ports: [\"9-8\"]}]": "ports",
		"version: 1\nallow: [{protocol: tcp, hosts: [127.0.0.1], ports: [\"080\"]}]": "ports",
		"version: 1\nallow: [{protocol: pty, shell: sh}]":                            "whole path",
		"version: 1\nallow: [{protocol: pty, env: [LD_PRELOAD]}]":                    "env",
		"version: 1\nallow: [{protocol: pty, hosts: [127.0.0.1]}]":                   "belong to protocol tcp",
		"version: 1\nallow: [{protocol: pty}, {protocol: pty, e2e: no, typo: 1}]":    "typo",
	} {
		_, err := policy.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func write(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(path, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func refused(t *testing.T, path, says string) {
	t.Helper()
	p, err := policy.Read(path)
	if err == nil || !strings.Contains(err.Error(), says) || len(p.Rules) > 0 {
		t.Errorf("%d rules, %v; want %q", len(p.Rules), err, says)
	}
}

func TestAPolicyInOtherHandsIsRefused(t *testing.T) {
	t.Parallel()
	if p, err := policy.Read(write(t, 0o644)); err != nil || len(p.Rules) != 5 {
		t.Errorf("%d rules, %v", len(p.Rules), err)
	}
	refused(t, write(t, 0o664), "others can write it")
	refused(t, write(t, 0o602), "others can write it")
	refused(t, filepath.Join(t.TempDir(), "none.yaml"), "there is none")
	refused(t, t.TempDir(), "is no file")

	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(write(t, 0o600), link); err != nil {
		t.Fatal(err)
	}
	refused(t, link, "is a link")

	open := write(t, 0o600)
	if err := os.Chmod(filepath.Dir(open), 0o777); err != nil {
		t.Fatal(err)
	}
	refused(t, open, "its folder: others can write it")
	if os.Geteuid() == 0 {
		foreign := write(t, 0o600)
		if err := os.Chown(foreign, 12345, 0); err != nil {
			t.Fatal(err)
		}
		refused(t, foreign, "belongs to another user")
	}
}

// Whoever can exchange a folder or link on the way to the file decides what is read there.
func TestAPolicyToWhichOthersCouldLayTheWayIsRefused(t *testing.T) {
	t.Parallel()
	nested := func() (above, path string) {
		above = filepath.Join(t.TempDir(), "above")
		dir := filepath.Join(above, "agent")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(dir, "policy.yaml")
		if err := os.WriteFile(path, []byte(sample), 0o600); err != nil {
			t.Fatal(err)
		}
		return above, path
	}
	allowed := func(path string) {
		t.Helper()
		if p, err := policy.Read(path); err != nil || len(p.Rules) != 5 {
			t.Errorf("%d rules, %v", len(p.Rules), err)
		}
	}
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	above, path := nested()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(above, "agent"), link); err != nil {
		t.Fatal(err)
	}
	allowed(path)
	allowed(filepath.Join(link, "policy.yaml"))
	chmod(above, 0o777)
	refused(t, path, "everybody can write it")
	refused(t, filepath.Join(link, "policy.yaml"), "everybody can write it") // what it leads to
	chmod(above, 0o777|os.ModeSticky)
	allowed(path) // as in /tmp: nobody can exchange what is root's
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Lchown(link, 12345, 0); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(link, "policy.yaml"), "belongs to another user")
	if err := os.Chown(above, 12345, 0); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "belongs to another user")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("version: 1\nallow:\n  - {protocol: tcp, hosts: [127.0.0.1], ports: [80], hours: \"1:00-2:00\"}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := policy.Parse(text)
		if err != nil {
			return
		}
		for _, host := range []string{"169.254.169.254", "0.0.0.0", "ff02::1"} {
			a := p.Decide(policy.Question{Target: wire.Target{Protocol: wire.ProtocolTCP, Host: host, Port: 80}, EndToEnd: true, Recorded: true, At: monday})
			if a.Allowed && host != "169.254.169.254" {
				t.Errorf("%q allows %s", text, host)
			}
		}
	})
}
