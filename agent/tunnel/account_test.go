package tunnel_test

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"bulkhead/wire"
)

const shellAs = `
version: 1
allow:
  - protocol: pty
    user: %s
    shell: /bin/sh
    env: [LANG]
    e2e: optional
`

// other is a user of this machine that is not root, with a second group where there is one.
func other(t *testing.T) *user.User {
	t.Helper()
	var found *user.User
	for _, name := range []string{"nobody", "daemon", "www-data", "postgres"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		if ids, err := u.GroupIds(); found == nil || err == nil && len(ids) > 1 {
			found = u
		}
	}
	if found == nil {
		t.Fatal("this machine has none of the users that every system has")
	}
	return found
}

// said runs a command in a shell of the stage's device.
func (s *stage) said(command string, terminal bool) (string, error) {
	s.t.Helper()
	g := s.grant()
	g.Target = wire.PTY
	session, reply := s.enter(g)
	stream, err := s.stream(session, reply)
	if err != nil {
		return "", err
	}
	conn, channels, requests, err := ssh.NewClientConn(stream, "", &ssh.ClientConfig{
		User: "bulkhead", HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // the stream below has proved the device
	})
	if err != nil {
		return "", err
	}
	client := ssh.NewClient(conn, channels, requests)
	defer client.Close()
	shell, err := client.NewSession()
	if err != nil {
		return "", err
	}
	_ = shell.Setenv("LANG", "C.UTF-8")
	_ = shell.Setenv("LD_PRELOAD", "/tmp/evil.so")
	if terminal {
		if err := shell.RequestPty("dumb", 24, 80, nil); err != nil {
			return "", err
		}
	}
	var out bytes.Buffer
	shell.Stdout = &out
	err = shell.Run(command)
	return strings.ReplaceAll(out.String(), "\r\n", "\n"), err
}

func TestAShellRunsAsTheUserThatThePolicyNamesAndHasNothingOfTheAgents(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can start a shell as another user: run it as root")
	}
	u := other(t)
	s := newStage(t, fmt.Sprintf(shellAs, u.Username), nil)
	is := func(command string, terminal bool, want string) {
		t.Helper()
		if got, err := s.said(command, terminal); err != nil || strings.TrimSpace(got) != want {
			t.Errorf("%s: %q, %v, want %q", command, got, err, want)
		}
	}
	ids, err := u.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	home := u.HomeDir
	if info, err := os.Stat(home); err != nil || !info.IsDir() {
		home = "/"
	}
	is("id -ru; id -u; id -rg; id -g", false, strings.Join([]string{u.Uid, u.Uid, u.Gid, u.Gid}, "\n"))
	got, err := s.said("id -G", false)
	groups := strings.Fields(got)
	slices.Sort(groups)
	slices.Sort(ids)
	if err != nil || !slices.Equal(groups, ids) {
		t.Errorf("groups %v, %v, want %v", groups, err, ids)
	}
	is(`echo "$HOME $USER $LOGNAME $SHELL"; pwd -P`, false, fmt.Sprintf("%s %s %s /bin/sh\n%s", u.HomeDir, u.Username, u.Username, home))
	is("grep CapEff /proc/self/status | cut -f2; cat /etc/shadow >/dev/null 2>&1 || echo refused", false, "0000000000000000\nrefused")
	is(`tty=$(tty); stat -c %U "$tty"; echo x > "$tty"`, true, u.Username+"\nx")
}

func TestAShellInheritsNothingOfTheAgents(t *testing.T) {
	t.Parallel()
	own, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, fmt.Sprintf(shellAs, own.Username), nil)
	for _, terminal := range []bool{false, true} {
		got, err := s.said("env", terminal)
		var names []string
		for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
			name, _, _ := strings.Cut(line, "=")
			names = append(names, name)
		}
		slices.Sort(names)
		want := []string{"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "USER"}
		if terminal {
			want = []string{"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "USER"}
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("the environment is %v, %v", names, err)
		}
		if got, err := s.said("ls /proc/$$/fd", terminal); err != nil || !regexp.MustCompile(`^0\s+1\s+2\s*$`).MatchString(got) {
			t.Errorf("descriptors: %q, %v", got, err)
		}
	}
}

func TestAShellOfAUserWhoIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, fmt.Sprintf(shellAs, "no-such-user-here"), nil)
	if got, err := s.said("true", false); err == nil {
		t.Errorf("it ran: %q", got)
	}
	if reply, err := s.Ask(t.Context(), wire.TerminalAskRequest{}); err != nil || !strings.Contains(reply.Refusal, `no user "no-such-user-here"`) {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestADeviceSaysHowItWouldServeAShellOfTheBrowser(t *testing.T) {
	t.Parallel()
	own, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	const rule = "version: 1\nallow:\n  - protocol: pty\n"
	for name, c := range map[string]struct {
		policy string
		want   wire.TerminalAskReply
	}{
		"allowed":              {rule + "    e2e: optional\n", wire.TerminalAskReply{User: own.Username}},
		"recorded":             {rule + "    e2e: optional\n    recording: required\n", wire.TerminalAskReply{User: own.Username, Recorded: true}},
		"only from end to end": {rule, wire.TerminalAskReply{Refusal: "only with encryption from end to end"}},
		"no rule":              {"version: 1\nallow: []\n", wire.TerminalAskReply{Refusal: "no rule"}},
		"no policy":            {"nonsense: 1\n", wire.TerminalAskReply{Refusal: "allows nothing"}},
	} {
		got, err := newStage(t, c.policy, nil).Ask(t.Context(), wire.TerminalAskRequest{})
		if err != nil || got.User != c.want.User || got.Recorded != c.want.Recorded || !strings.Contains(got.Refusal, c.want.Refusal) || (got.Refusal == "") != (c.want.Refusal == "") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
