package dev

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/internal/dev/idp"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// samplesFolder is where the secrets of the samples are, in the state directory.
const samplesFolder = "samples"

// Code is what a sample user's authenticator would show, and for how long. It needs no server, only the state directory.
func Code(dir, name string, now time.Time) (code string, left time.Duration, err error) {
	if !slices.ContainsFunc(sampleUsers, func(u idp.User) bool { return u.Name == name }) {
		return "", 0, errs.E(wire.NotFound, "there is no sample user %q: they are owner and operator", name)
	}
	p := people{dir: filepath.Join(dir, samplesFolder)}
	text, err := os.ReadFile(p.factorFile(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", 0, errs.As(wire.NotFound, err, "%s has no sample users: start bulkhead dev first, or say with --dir where its state is", dir)
	case err != nil:
		return "", 0, errs.As(wire.Invalid, err, "%s cannot be read", p.factorFile(name))
	}
	step := factor.Step(now)
	if code, err = factor.Stored(secret.New(text)).Code(step); err != nil {
		return "", 0, errs.As(wire.Invalid, err, "%s holds no secret of a second factor", p.factorFile(name))
	}
	for end := now; ; end = end.Add(time.Second) {
		if factor.Step(end) != step {
			return code, end.Sub(now), nil
		}
	}
}
