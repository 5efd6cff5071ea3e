package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// oldest is the oldest major version that we run on.
const oldest = 15

// binaries is one installation of PostgreSQL's server.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// choose picks the binaries for a data directory: of its major version, or the newest where there is no data yet.
func choose(dirs []string, data string) (binaries, error) {
	if dirs == nil {
		dirs = systemDirs()
	}
	found := installed(dirs)
	want, err := majorOf(data)
	if err != nil {
		return binaries{}, err
	}
	for _, b := range found {
		if b.major == want || want == 0 && b.major >= oldest {
			return b, nil
		}
	}
	return binaries{}, missing(found, want, data)
}

func missing(found []binaries, want int, data string) error {
	has := "none is installed"
	if len(found) > 0 {
		has = "installed is " + versions(found)
	}
	if want != 0 {
		return errs.E(wire.Unavailable, "the data in %s is of PostgreSQL %d and %s: install that version (on Debian or Ubuntu: apt-get install postgresql-%d), or move the directory away to start from nothing", data, want, has, want)
	}
	return errs.E(wire.Unavailable, "PostgreSQL %d or later is needed and %s: install it (on Debian or Ubuntu: apt-get install postgresql), or name a server with --database-url", oldest, has)
}

func versions(found []binaries) string {
	var text []string
	for _, b := range found {
		text = append(text, strconv.Itoa(b.major))
	}
	return strings.Join(slices.Compact(text), ", ")
}

// systemDirs lists where servers are installed, on PATH first.
func systemDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		matches, _ := filepath.Glob(pattern) // fails for a bad pattern only
		dirs = append(dirs, matches...)
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	return dirs
}

// installed finds the servers in dirs, the newest first.
func installed(dirs []string) []binaries {
	var found []binaries
	for _, dir := range dirs {
		if major := versionOf(dir); major > 0 {
			found = append(found, binaries{dir, major})
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return b.major - a.major })
	return found
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) ([0-9]+)`)

// versionOf gives the major version of the server in dir, and 0 where there is no complete one.
func versionOf(dir string) int {
	for _, program := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.IsDir() {
			return 0
		}
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	m := versionText.FindSubmatch(out)
	if err != nil || m == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(m[1])) // digits only
	return major
}

// majorOf reads which major version made a data directory; 0 where there is none.
func majorOf(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(data); err == nil {
			return 0, errs.E(wire.Unavailable, "%s is not a data directory of PostgreSQL: move it away to start from nothing", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Join(data, "PG_VERSION"), err)
	}
	return major, nil
}
