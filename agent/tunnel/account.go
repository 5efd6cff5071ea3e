package tunnel

import (
	"bufio"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// account is whose shell is started.
type account struct {
	name, home, shell string
	credential        *syscall.Credential // nil: the agent's own
}

// findAccount finds the account that the policy names. A shell of another user needs an agent that is root.
func findAccount(s policy.Shell) (account, error) {
	own, err := user.Current()
	if err != nil {
		return account{}, errs.As(wire.Unavailable, err, "the device does not know the agent's user")
	}
	found := own
	if s.User != "" {
		if found, err = user.Lookup(s.User); err != nil {
			return account{}, errs.As(wire.Unavailable, err, "the device has no user %q, whom its policy names", s.User)
		}
	}
	a := account{name: found.Username, home: found.HomeDir, shell: s.Path}
	if a.shell == "" {
		a.shell = shellOf(found.Username)
	}
	if found.Uid == own.Uid {
		return a, nil
	}
	if os.Geteuid() != 0 {
		return account{}, errs.E(wire.Unavailable, "the device's policy names the user %q: the agent must be root for that", s.User)
	}
	a.credential, err = credentialOf(found)
	return a, err
}

func credentialOf(u *user.User) (*syscall.Credential, error) {
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	ids, errIDs := u.GroupIds()
	if errUID != nil || errGID != nil || errIDs != nil {
		return nil, errs.E(wire.Unavailable, "the device cannot tell the groups of the user %q", u.Username)
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range ids {
		if g, err := strconv.ParseUint(id, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(g))
		}
	}
	return c, nil
}

const defaultShell = "/bin/sh"

// shellOf reads a user's shell from the system's list.
func shellOf(name string) string {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return defaultShell
	}
	defer f.Close() //nolint:errcheck // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); len(fields) == 7 && fields[0] == name && strings.HasPrefix(fields[6], "/") {
			return fields[6]
		}
	}
	return defaultShell
}
