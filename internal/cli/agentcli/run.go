package agentcli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"bulkhead/agent"
	"bulkhead/agent/footprint"
	"bulkhead/agent/state"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// stopTimeout is how long leaving may take. A kernel that keeps a reading waiting is no reason to stay.
const stopTimeout = 4500 * time.Millisecond

func (c *command) runAgent(ctx context.Context, args []string) error {
	var flashFile, dir, policyFile *string
	level := slog.LevelInfo
	err := c.parse("run", args, func(f *flag.FlagSet) {
		flashFile = f.String("flash-file", "", "the device's flash `file` (required)")
		dir, policyFile = c.stateFlag(f), policyFlag(f)
		f.TextVar(&level, "log-level", slog.LevelInfo, "least `level` that is logged: debug, info, warn or error")
	})
	if err != nil {
		return err
	}
	if *flashFile == "" {
		fmt.Fprintln(c.Err, "bulkhead-agent run: --flash-file FILE is required")
		return errUsage
	}
	log := c.logger(level)
	flash, err := agent.ReadFlash(*flashFile, log)
	if err != nil {
		return err
	}
	d, err := state.Open(*dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // the process ends
	footprint.Reduce(c.environ)
	return runUntil(ctx, agent.New(agent.Config{Flash: flash, State: d, Version: programVersion(), Log: log, PolicyFile: *policyFile}))
}

// runUntil runs the agent until ctx ends and no longer than stopTimeout after that.
func runUntil(ctx context.Context, a *agent.Agent) error {
	over := make(chan struct{})
	go func() { // the process ends with it or without it
		a.Run(ctx)
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-over:
		return nil
	case <-time.After(stopTimeout):
		return errs.E(wire.Unavailable, "stopped without a farewell: it took longer than %s", stopTimeout)
	}
}

// logger writes text where a person looks, else JSON.
func (c *command) logger(level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if isTerminal(c.Err) {
		return slog.New(slog.NewTextHandler(c.Err, options))
	}
	return slog.New(slog.NewJSONHandler(c.Err, options))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Name() != filepath.Base(os.DevNull)
}

// defaultStateDir is what systemd gives, else the system's place for root and the user's own place for others.
func defaultStateDir(environ func(string) string) string {
	const name = "bulkhead-agent"
	switch {
	case environ("STATE_DIRECTORY") != "":
		return environ("STATE_DIRECTORY")
	case os.Getuid() == 0:
		return filepath.Join("/var/lib", name)
	case environ("XDG_STATE_HOME") != "":
		return filepath.Join(environ("XDG_STATE_HOME"), name)
	default:
		return filepath.Join(environ("HOME"), ".local", "state", name)
	}
}
