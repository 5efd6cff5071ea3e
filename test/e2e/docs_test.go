package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere are commands of the documentation that this test does not run, and who does.
var elsewhere = map[string]string{
	"./justw test": "this test is part of it",
	"./justw dev":  "TestTheFirstCommandOfTheREADMEStartsEverything",
}

func TestEveryCommandOfTheDocumentationWorks(t *testing.T) {
	t.Parallel()
	d := newSite(t).start(t)
	root := absolute(filepath.Join("..", ".."))
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "configs"), filepath.Join(work, "configs")); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, file := range append([]string{filepath.Join(root, "README.md")}, files...) {
		for _, command := range commandsOf(t, file) {
			if _, skip := elsewhere[command]; skip {
				continue
			}
			ran++
			c := exec.CommandContext(t.Context(), "sh", "-eu", "-c", command)
			c.Dir, c.Env = work, d.site.environ()
			if said, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", filepath.Base(file), command, err, said)
			}
		}
	}
	if ran < 10 {
		t.Errorf("only %d commands were found", ran)
	}
}

// commandsOf gives the lines of a file's sh blocks.
func commandsOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "```sh":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside && line != "" && !strings.HasPrefix(line, "#"):
			commands = append(commands, line)
		}
	}
	return commands
}

func TestTheFirstCommandOfTheREADMEStartsEverything(t *testing.T) {
	t.Parallel()
	root := absolute(filepath.Join("..", ".."))
	if !slices.Contains(commandsOf(t, filepath.Join(root, "README.md")), "./justw dev") {
		t.Error("the README begins otherwise")
	}
	s := newSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(root, "justw"), "dev", "--dir", s.dir, "--listen", "127.0.0.1:0", "--exit-when-ready")
	c.Env = s.environ()
	said, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "Bulkhead is ready.") {
		t.Errorf("%v\n%s", err, said)
	}
}
