package cli

import (
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"bulkhead/internal/config"
	"bulkhead/internal/lines"
)

// logger writes to stderr: JSON, or text for a person at a terminal.
func (inv *invocation) logger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	if c.Format == "text" || c.Format == "auto" && isTerminal(inv.Err) {
		plain := lookup(inv.environ, "NO_COLOR") != "" || !isTerminal(inv.Err)
		return slog.New(tint.NewTextHandler(inv.Err, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: plain}))
	}
	if inv.log == nil {
		inv.log = lines.New(inv.Err)
	}
	return slog.New(slog.NewJSONHandler(inv.log, &slog.HandlerOptions{Level: level}))
}

// flushLog writes what the log has gathered.
func (inv *invocation) flushLog() {
	if inv.log != nil {
		_ = inv.log.Flush() // there is nowhere else to say so
	}
}

// isTerminal tells whether somebody sits at a stream; at /dev/null nobody does.
func isTerminal(stream any) (is bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	raw, err := f.SyscallConn()
	return err == nil && raw.Control(func(fd uintptr) { is = term.IsTerminal(int(fd)) }) == nil && is
}
