package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"bulkhead/internal/dev"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// devContext is the name by which `bulkhead dev` makes its server known to the other commands.
const devContext = "dev"

// rememberDev makes the server a context, and gives the flags by which commands mean it: none where that is the current one. A
// user without a home has no contexts, which is fine.
func (inv *invocation) rememberDev(r dev.Ready, dir string) (flags string) {
	flags = fmt.Sprintf(" --server %s --ca-file %s --api-key-file %s", r.API, r.CAFile, r.OwnerAPIKeyFile)
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return flags
	}
	context := Context{Server: r.API, CAFile: r.CAFile, APIKeyFile: r.OwnerAPIKeyFile, Seen: filepath.Join(dir, seenFolder)}
	if err := contexts.putDev(context); err != nil {
		fmt.Fprintf(inv.Err, "bulkhead: the context %q is not remembered: %v\n", devContext, err)
		return flags
	}
	if current, err := contexts.Current(); err == nil && current == devContext {
		return ""
	}
	return " --context " + devContext
}

// putDev takes the place of what an earlier `bulkhead dev` remembered. A login to that is of use only where the server is the
// same: its state directory, which has its own folder of what was seen, and the address.
func (c Contexts) putDev(context Context) error {
	before, err := c.Get(devContext)
	switch {
	case errs.KindOf(err) == wire.NotFound:
	case err != nil:
		return err
	case !before.isOfDev():
		return errs.E(wire.Conflict, "it is that of %s, which is no server of bulkhead dev; to forget that one, type: bulkhead context delete %s", before.Server, devContext)
	}
	made := os.Mkdir(context.Seen, 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	if made != nil && before.Server == context.Server && before.CAFile == context.CAFile {
		context.Login = before.Login
	} else if err := c.Delete(devContext); err != nil {
		return err
	}
	return c.Put(devContext, context)
}

// isOfDev tells a context that `bulkhead dev` has made from one that the user made by logging in somewhere under its name. The
// first versions did not say where they remember what was seen.
func (c Context) isOfDev() bool {
	u, err := url.Parse(c.Server)
	return c.Seen != "" || c.APIKeyFile != "" && err == nil && net.ParseIP(u.Hostname()).IsLoopback()
}

// forgetDev forgets the context of a state directory that is no more; that of another one stays.
func (inv *invocation) forgetDev(dir string) error {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return nil // there is no place for contexts, so there is none to forget
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	known, err := contexts.Get(devContext)
	if errs.KindOf(err) == wire.NotFound {
		return nil
	}
	if below, relErr := filepath.Rel(dir, known.CAFile); err == nil && (relErr != nil || !filepath.IsLocal(below)) {
		return nil
	}
	return contexts.Delete(devContext)
}
