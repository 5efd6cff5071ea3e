package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/zalando/go-keyring"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Login says as whom a context is logged in, and where its token is: never in the file of the context itself.
type Login struct {
	User  string `yaml:"user" json:"user"`
	Store string `yaml:"store" json:"store"` // keyring or file
}

// The places of tokens.
const (
	storeKeyring = "keyring"
	storeFile    = "file"

	keyringService = "bulkhead"
	maxToken       = 4 << 10
)

// keeper says where a new token goes: the system's keyring, or a file where there is none or the contexts have a folder of
// their own.
func (c Contexts) keeper(environ []string) string {
	switch {
	case lookup(environ, "BULKHEAD_CONTEXT_DIR") != "":
		return storeFile
	case runtime.GOOS == "linux" && lookup(environ, "DBUS_SESSION_BUS_ADDRESS") == "":
		return storeFile // without a session nobody could unlock a keyring
	default:
		return storeKeyring
	}
}

// keyringUser tells the logins of one user's contexts apart.
func (c Contexts) keyringUser(name string) string { return filepath.Join(c.Dir, name) }

func (c Contexts) tokenFile(name string) string { return filepath.Join(c.Dir, name+".token") }

// putToken keeps a token, and gives the place that took it.
func (c Contexts) putToken(name, store string, token secret.Value) (string, error) {
	if !contextName.MatchString(name) {
		return "", errs.E(wire.Invalid, "%q is no name of a context", name)
	}
	if store == storeKeyring {
		if err := keyring.Set(keyringService, c.keyringUser(name), string(token.Reveal())); err == nil {
			return storeKeyring, nil
		}
	}
	if err := c.makeDir(); err != nil {
		return "", err
	}
	return storeFile, secret.WriteFile(c.tokenFile(name), token.Reveal())
}

// token reads the token of a context.
func (c Contexts) token(context Context) (secret.Value, error) {
	if context.Login.Store == storeKeyring {
		text, err := keyring.Get(keyringService, c.keyringUser(context.name))
		if err != nil {
			return secret.Value{}, errs.As(wire.Unauthenticated, err, "the keyring does not give the login of context %s: type: bulkhead login", context.name)
		}
		return secret.FromString(text), nil
	}
	text, err := readPrivate(c.tokenFile(context.name))
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Value{}, errs.E(wire.Unauthenticated, "the login of context %s is gone: type: bulkhead login", context.name)
	}
	if err != nil {
		return secret.Value{}, err
	}
	return credentialOf(text, c.tokenFile(context.name))
}

func (c Contexts) forgetToken(context Context) error {
	if context.Login.Store == storeKeyring {
		if err := keyring.Delete(keyringService, c.keyringUser(context.name)); err != nil && !errors.Is(err, keyring.ErrNotFound) {
			return errs.As(wire.Unavailable, err, "the keyring does not forget the login of context %s", context.name)
		}
		return nil
	}
	if err := os.Remove(c.tokenFile(context.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readPrivate reads a file that nobody else can read or has put there: not one that a link leads to.
func readPrivate(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errs.E(wire.Denied, "%s is a link, and a token is not read through one: remove it, and log in again", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, errs.E(wire.Denied, "%s is no file", path)
	case !ownedByUs(info):
		return nil, errs.E(wire.Denied, "%s belongs to somebody else: remove it, and log in again", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, errs.E(wire.Denied, "others can read %s: end that login with: bulkhead logout, after: chmod 600 %s", path, path)
	}
	return io.ReadAll(io.LimitReader(f, maxToken))
}

// ownedByUs reports whether a file is the user's who runs this, or the system's.
func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(stat.Uid) == os.Geteuid() || stat.Uid == 0)
}

// makeDir makes the folder of contexts.
func (c Contexts) makeDir() error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return errs.As(wire.Invalid, err, "the folder of contexts %s cannot be made", c.Dir)
	}
	return c.checkDir()
}

// checkDir refuses a folder in which others could put a context of theirs: a password or a token would go to its server.
func (c Contexts) checkDir() error {
	info, err := os.Stat(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return errs.E(wire.Invalid, "%s is no folder", c.Dir)
	case !ownedByUs(info) || info.Mode().Perm()&0o022 != 0:
		return errs.E(wire.Denied, "others can write to the folder of contexts %s: make it yours with: chmod go-w %s", c.Dir, c.Dir)
	default:
		return nil
	}
}
