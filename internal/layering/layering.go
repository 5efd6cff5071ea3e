// Package layering holds the import arrows of the tree as rules with reasons; its test enforces them.
//
// It promises that a package imports only from rows below its own, that what must never reach a device does not, by any
// path, and that each third-party package has the owners that are named here.
package layering

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// module is the prefix of our own import paths.
const module = "bulkhead/"

// rows are the layers from the bottom up; a folder stands for all below it that no longer entry names.
var rows = [][]string{
	{"wire", "internal/secret", "internal/lifecycle", "internal/heap", "agent/footprint", "internal/slack", "internal/lines", "internal/network", "internal/clocktest", "web", "configs", "internal/cast"},
	{"internal/errs", "internal/logkey"},
	{"realms", "router/message", "backend/privilege", "backend/audit", "internal/config", "internal/mux", "internal/wampx", "internal/localca"},
	{"router/core", "router/transport", "router/authn", "router/gateway", "agent/state", "agent/metrics", "agent/tunnel",
		"backend/account", "backend/privilege/granting", "backend/asset", "backend/rotation", "backend/databackend", "backend/remote", "backend/recording", "backend/quota", "db/pgerr"},
	{"router", "agent", "backend/httpapi", "backend/pages", "backend/oauth", "backend/rpc", "db", "db/migrations", "db/provision", "db/cluster"},
	{"db/dbtest", "internal/server"},
	{"internal/dev", "internal/server/servertest"},
	{"internal/cli"},
	{"cmd", "test", "internal/layering"},
}

// sameRow are the arrows allowed within a row, with the reason.
var sameRow = map[string][]string{
	"backend/audit/ledger":           {"backend/audit"},                                // proofs are of entries
	"backend/audit/sequencer":        {"backend/audit", "backend/audit/ledger"},        // it orders entries into logs
	"router/transport":               {"router/core"},                                  // a transport is the outlet of the sessions that the core routes to
	"backend/account/devicegrant":    {"backend/account"},                              // an approval is somebody's, as that package proved them
	"backend/account/oidc":           {"backend/account"},                              // what a provider vouches for is an identity of that package
	"backend/account/password/apart": {"backend/account/password"},                     // it does that package's work in another process
	"db":                             {"db/migrations"},                                // the migrations are files embedded beside the code that runs them
	"db/provision":                   {"db"},                                           // one pool and one error mapping for all that speaks SQL
	"db/cluster":                     {"db"},                                           // the cluster waits for readiness with the same client
	"agent":                          {"agent/state", "agent/metrics", "agent/tunnel"}, // parts of the same process
}

// ban forbids a folder to reach another by any path.
type ban struct{ from, to, why string }

var bans = []ban{
	{"agent", "db", "a stolen device must carry no server code"},
	{"agent", "backend", "a stolen device must carry no server code"},
	{"agent", "router", "a stolen device must carry no server code"},
	{"agent", "realms", "a device is told its realm, it never derives one"},
	{"cmd/bulkhead-agent", "db", "a stolen device must carry no server code"},
	{"cmd/bulkhead-agent", "backend", "a stolen device must carry no server code"},
	{"cmd/bulkhead-agent", "router", "a stolen device must carry no server code"},
	{"router", "db", "the router decides from memory and works with the database down"},
	{"router", "backend", "the router has storage only through the small interfaces that it declares"},
}

// pure packages decide; they do no I/O and so import none of these.
var (
	pure     = []string{"wire", "realms", "backend/privilege", "router/core", "router/message"}
	impurity = []string{"net", "net/http", "os", "os/exec", "database/sql", "log", "log/slog", "syscall"}
)

// owners names who may import a third-party package directly.
var owners = map[string][]string{
	"github.com/jackc/pgx":          {"db"},
	"github.com/pressly/goose":      {"db"},
	"github.com/coreos/go-oidc":     {"backend/account"},
	"github.com/pquerna/otp":        {"backend/account"},
	"github.com/zitadel/oidc":       {"internal/dev"},
	"github.com/gorilla/websocket":  {"router/transport", "router/gateway", "agent", "internal/mux", "internal/wampx"},
	"github.com/spf13/cobra":        {"internal/cli"},
	"github.com/danielgtaylor/huma": {"backend/httpapi"},
	"golang.org/x/mod/sumdb":        {"backend/audit", "backend/httpapi", "db", "internal/server", "internal/cli"},
}

// Violations gives a sentence for each arrow of imports (package folder to import paths, without tests) that a rule forbids.
func Violations(imports map[string][]string) []string {
	var found []string
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		found = append(found, direct(pkg, imports[pkg])...)
		found = append(found, reached(pkg, imports)...)
	}
	return found
}

func direct(pkg string, paths []string) []string {
	var found []string
	row, known := rowOf(pkg)
	if !known {
		return []string{pkg + ": stands in no row: decide where it belongs"}
	}
	for _, path := range paths {
		target, ours := strings.CutPrefix(path, module)
		switch {
		case ours:
			if below, _ := rowOf(target); below >= row && !slices.Contains(sameRow[pkg], target) && !within(target, pkg) {
				found = append(found, fmt.Sprintf("%s imports %s: imports point down", pkg, target))
			}
		case slices.Contains(pure, pkg) && slices.Contains(impurity, path):
			found = append(found, fmt.Sprintf("%s imports %s: it decides and does no I/O", pkg, path))
		default:
			found = append(found, foreign(pkg, path)...)
		}
	}
	return found
}

func foreign(pkg, path string) []string {
	for library, allowed := range owners {
		if strings.HasPrefix(path, library) && !slices.ContainsFunc(allowed, func(o string) bool { return within(pkg, o) }) {
			return []string{fmt.Sprintf("%s imports %s: that belongs to %s", pkg, library, strings.Join(allowed, ", "))}
		}
	}
	return nil
}

func reached(pkg string, imports map[string][]string) []string {
	var found []string
	for _, b := range bans {
		if !within(pkg, b.from) {
			continue
		}
		if path := route(pkg, b.to, imports, map[string]bool{}); path != nil {
			found = append(found, fmt.Sprintf("%s: %s", strings.Join(path, " -> "), b.why))
		}
	}
	return found
}

// route finds a path of imports from pkg into the folder to.
func route(pkg, to string, imports map[string][]string, seen map[string]bool) []string {
	if seen[pkg] {
		return nil
	}
	seen[pkg] = true
	for _, path := range imports[pkg] {
		target, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		if within(target, to) {
			return []string{pkg, target}
		}
		if rest := route(target, to, imports, seen); rest != nil {
			return append([]string{pkg}, rest...)
		}
	}
	return nil
}

// rowOf gives the row of the longest entry that pkg is within.
func rowOf(pkg string) (row int, known bool) {
	longest := ""
	for i, entries := range rows {
		for _, e := range entries {
			if within(pkg, e) && cmp.Compare(len(e), len(longest)) > 0 {
				longest, row, known = e, i, true
			}
		}
	}
	return row, known
}

func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }
