package state

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const (
	grantsFile    = "grants.json"
	tunnelKeyFile = "tunnel-key.json"
	maxGrants     = 4096
)

// grants are the nonces of used grants with the time until which they matter, epoch milliseconds. Of what was granted before
// since, nothing is known.
type grants struct {
	Version int              `json:"version"`
	Since   int64            `json:"since"`
	Used    map[string]int64 `json:"used"`
}

// beginGrants begins to remember used grants where nothing remembers any: a new device's, or one's whose file is gone.
func (d *Dir) beginGrants(now time.Time) error {
	if _, err := os.Stat(filepath.Join(d.path, grantsFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil // what cannot be read is the business of UseGrant
	}
	return d.write(grantsFile, grants{Version: version, Since: now.UnixMilli()})
}

// UseGrant reports whether a nonce is used for the first time, and remembers it on the disk until a time, so that a
// restart forgets no grant that could be used again. What was granted before all that is remembered may have been used, and
// is refused.
func (d *Dir) UseGrant(nonce string, granted, until, now time.Time) (first bool, err error) {
	d.tunnels.Lock()
	defer d.tunnels.Unlock()
	if err := d.beginGrants(now); err != nil { // it was deleted meanwhile
		return false, err
	}
	var g grants
	if err := readJSON(filepath.Join(d.path, grantsFile), &g); err != nil {
		return false, err // it may have been used
	}
	if granted.UnixMilli() < g.Since {
		return false, errs.E(wire.Denied, "the device takes only what was granted since %s, because it does not remember what was used before: ask again",
			time.UnixMilli(g.Since).UTC().Format(time.RFC3339))
	}
	maps.DeleteFunc(g.Used, func(_ string, until int64) bool { return until < now.UnixMilli() })
	if _, used := g.Used[nonce]; used {
		return false, nil
	}
	if len(g.Used) >= maxGrants {
		return false, errs.E(wire.Exhausted, "too many grants in a short time")
	}
	if g.Used == nil {
		g.Used = map[string]int64{}
	}
	g.Version, g.Used[nonce] = version, until.UnixMilli()
	return true, d.write(grantsFile, g)
}

// TunnelKey gives the device's key for tunnels, which is made when it is first asked for and then stays: people know the
// device by it.
func (d *Dir) TunnelKey(make func() ([]byte, error)) ([]byte, error) {
	d.tunnels.Lock()
	defer d.tunnels.Unlock()
	var kept struct {
		Version int    `json:"version"`
		Key     string `json:"key"`
	}
	err := readJSON(filepath.Join(d.path, tunnelKeyFile), &kept)
	if err == nil {
		return base64.StdEncoding.DecodeString(kept.Key)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := make()
	if err != nil {
		return nil, err
	}
	kept.Version, kept.Key = version, base64.StdEncoding.EncodeToString(key)
	return key, d.write(tunnelKeyFile, kept)
}
