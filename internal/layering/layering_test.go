package layering

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	imports := readImports(t, filepath.Join("..", ".."))
	if len(imports) < 10 {
		t.Fatalf("read %d packages only: is this the root?", len(imports))
	}
	for _, v := range Violations(imports) {
		t.Error(v)
	}
}

func TestAForbiddenArrowIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pkg, path, says string
	}{
		{"wire", "bulkhead/realms", "imports point down"},
		{"router/core", "bulkhead/router", "imports point down"},
		{"agent", "bulkhead/realms", "never derives one"},
		{"router", "bulkhead/db", "works with the database down"},
		{"router/core", "net/http", "does no I/O"},
		{"backend/httpapi", "github.com/jackc/pgx/v5", "belongs to db"},
		{"misc", "fmt", "stands in no row"},
	} {
		found := Violations(map[string][]string{c.pkg: {c.path}})
		if !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, c.says) }) {
			t.Errorf("%s -> %s: found %q, want %q", c.pkg, c.path, found, c.says)
		}
	}
}

func TestABanHoldsThroughOtherPackages(t *testing.T) {
	t.Parallel()
	found := Violations(map[string][]string{
		"cmd/bulkhead-agent": {"bulkhead/agent"},
		"agent":              {"bulkhead/internal/wampx"},
		"internal/wampx":     {"bulkhead/router/message"},
	})
	want := "cmd/bulkhead-agent -> agent -> internal/wampx -> router/message: a stolen device must carry no server code"
	if !slices.Contains(found, want) {
		t.Errorf("found %q", found)
	}
}

// readImports gives the imports of each package below root, without those of its tests.
func readImports(t *testing.T, root string) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipForeign(root, path)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		return addImports(imports, filepath.ToSlash(folder), path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// skipForeign leaves out hidden folders, dependencies of other languages and Go modules of their own.
func skipForeign(root, dir string) error {
	if dir == root {
		return nil
	}
	name := filepath.Base(dir)
	_, errModule := os.Stat(filepath.Join(dir, "go.mod"))
	if strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || errModule == nil {
		return fs.SkipDir
	}
	return nil
}

func addImports(imports map[string][]string, pkg, file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		imports[pkg] = append(imports[pkg], path)
	}
	return nil
}
