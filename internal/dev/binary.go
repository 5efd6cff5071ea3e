package dev

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const agentName = "bulkhead-agent"

// agentBinary finds the agent's program: beside this one, else built from the source tree that this one comes from, else
// on the PATH.
func agentBinary(ctx context.Context, dir string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), agentName); executable(beside) {
			return beside, nil
		}
	}
	if source := sourceTree(); source != "" {
		return buildAgent(ctx, source, filepath.Join(dir, "bin", agentName))
	}
	if found, err := exec.LookPath(agentName); err == nil {
		return found, nil
	}
	return "", errs.E(wire.Unavailable, "%s is missing: put it beside this program or on the PATH", agentName)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// sourceTree gives the root of our own module: above the working directory, else where this file was compiled.
func sourceTree() string {
	if wd, err := os.Getwd(); err == nil {
		for dir := wd; ; dir = filepath.Dir(dir) {
			if isOurs(dir) {
				return dir
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		if root := filepath.Join(filepath.Dir(file), "..", ".."); filepath.IsAbs(file) && isOurs(root) {
			return root
		}
	}
	return ""
}

func isOurs(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(text), "module bulkhead\n")
}

func buildAgent(ctx context.Context, source, output string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(output), 0o700); err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "go", "build", "-o", output, "./cmd/"+agentName)
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := command.CombinedOutput(); err != nil {
		return "", errs.As(wire.Unavailable, err, "the agent cannot be built: %s", strings.TrimSpace(string(said)))
	}
	return output, nil
}
