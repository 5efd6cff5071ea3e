package state

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"maps"
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

// grants are the nonces of used grants with the time until which they matter, epoch milliseconds.
type grants struct {
	Version int              `json:"version"`
	Used    map[string]int64 `json:"used"`
}

// UseGrant reports whether a nonce is used for the first time, and remembers it on the disk until a time, so that a
// restart forgets no grant that could be used again.
func (d *Dir) UseGrant(nonce string, until, now time.Time) (first bool, err error) {
	d.tunnels.Lock()
	defer d.tunnels.Unlock()
	var g grants
	if err := readJSON(filepath.Join(d.path, grantsFile), &g); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err // it may have been used
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
