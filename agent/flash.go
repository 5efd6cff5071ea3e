package agent

import (
	"io"
	"log/slog"
	"os"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// ReadFlash reads the flash file of this device. What is wrong with it is said with its name; the file is never changed.
func ReadFlash(path string, log *slog.Logger) (wire.Flash, error) {
	fault := func(err error, why string, args ...any) error {
		return errs.As(wire.Invalid, err, "flash file "+path+": "+why, args...)
	}
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return wire.Flash{}, fault(err, "%s", reasonOf(err))
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return wire.Flash{}, fault(err, "cannot be read")
	case !info.Mode().IsRegular():
		return wire.Flash{}, fault(os.ErrInvalid, "not a file")
	case info.Mode().Perm()&0o022 != 0:
		// Who writes it chooses the router and the authority that this device trusts.
		return wire.Flash{}, fault(os.ErrPermission, "others can write it; chmod 600 it, or write it anew if you do not know who did")
	case info.Mode().Perm()&0o044 != 0:
		log.Warn("others can read the flash file, which has the device's secret; chmod 600 it", logkey.File, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, wire.MaxFlash+1))
	if err != nil {
		return wire.Flash{}, fault(err, "cannot be read")
	}
	flash, err := wire.ParseFlash(data)
	if err != nil {
		return wire.Flash{}, fault(err, "%s", err.Error())
	}
	return flash, nil
}

func reasonOf(err error) string {
	switch {
	case os.IsNotExist(err):
		return "there is none"
	case os.IsPermission(err):
		return "this user may not read it"
	default:
		return "cannot be opened"
	}
}
