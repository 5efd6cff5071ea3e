package cluster

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// account is whom the server runs as. PostgreSQL refuses root, so root hands the data to an unprivileged user.
type account struct {
	uid, gid int
	name     string
	other    bool // another user than this process's
}

// nobody is the uid that Linux keeps for files of nobody, where no user is called so.
const nobody = 65534

// serverAccount is this process's user, or where that is root: the owner of the data, the user postgres, or nobody.
func serverAccount(data string) (account, error) {
	info, err := os.Stat(data)
	switch {
	case os.Geteuid() != 0:
		return account{uid: os.Geteuid(), gid: os.Getegid(), name: "this user"}, nil
	case err == nil && ownerOf(info) != 0:
		return account{uid: ownerOf(info), gid: groupOf(info), name: "the owner of the data", other: true}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return account{}, err
	}
	for _, name := range []string{"postgres", "nobody"} {
		if a, ok := lookUp(name); ok {
			return a, nil
		}
	}
	return account{uid: nobody, gid: nobody, name: "nobody", other: true}, nil
}

func lookUp(name string) (account, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, false
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	return account{uid: uid, gid: gid, name: name, other: true}, errors.Join(errUID, errGID) == nil && uid != 0
}

// makeDir makes a directory for the account alone.
func (a account) makeDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return a.own(path)
}

// own gives a file to the account, and to nobody else.
func (a account) own(path string) error {
	if err := os.Chown(path, a.uid, a.gid); err != nil {
		return errs.As(wire.Unavailable, err, "%s cannot be given to %s (uid %d), as whom PostgreSQL must run because it refuses root: run as an ordinary user, or choose a directory on a local disk", path, a.name, a.uid)
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

func groupOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Gid) }
