// Package scene is what the load generator and the servers under test agree on: which realms there are, and who may join
// them with what secret.
//
// It promises that both sides derive the same credentials from an index, so that nothing is handed over; they open
// nothing but a benchmark's own servers on this machine.
package scene

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// The open realms, which anyone may join without a proof.
const (
	Main     = "bench.main"
	Patterns = "bench.patterns"
	Quiet    = "bench.quiet"
	Flooded  = "bench.flooded"
)

// OpenRealms are all of them.
func OpenRealms() []string { return []string{Main, Patterns, Quiet, Flooded} }

// Devices are the principals that join with WAMP-CRA. Project is theirs, and ProjectRealm is where they join.
const (
	Devices      = 64
	Project      = 7
	ProjectRealm = "device-7"
)

// Serial is the i-th device's authid.
func Serial(i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "serial %d", i))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Secret is the i-th device's secret.
func Secret(i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "secret %d", i))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// The data realm of an installation of the devices' project, which they join with WAMP-CRA as well. It has what tenants get: every
// message is authorized and every publisher disclosed.
const (
	App       = 9
	DataRealm = "realm-7-9-prod"
)
