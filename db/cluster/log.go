package cluster

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// maxLine bounds what is kept of a line of the server's log.
const maxLine = 4096

// sessionEnded is what the server says of each session that a stop, or somebody with the right to it, ends.
const sessionEnded = "terminating connection due to administrator command"

// logWriter turns the server's log into lines of ours. Only what ends a session or the server is worth a warning:
// errors of statements go to who sent them.
type logWriter struct {
	log  *slog.Logger
	tail *tail
	rest []byte // a line that is not complete yet
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte{'\n'})
		if !found {
			break
		}
		w.line(string(line))
		w.rest = rest
	}
	if len(w.rest) > maxLine {
		w.line(string(w.rest[:maxLine]))
		w.rest = nil
	}
	return len(p), nil
}

func (w *logWriter) line(line string) {
	line = strings.TrimSpace(line)
	level := slog.LevelDebug
	if strings.Contains(line, sessionEnded) {
		w.log.Log(context.Background(), level, "postgres: "+line)
		return
	}
	if strings.HasPrefix(line, "FATAL:") || strings.HasPrefix(line, "PANIC:") {
		level = slog.LevelWarn
		w.tail.keep(line)
	} else if strings.Contains(line, "shared memory block") {
		w.tail.keep(line)
	}
	w.log.Log(context.Background(), level, "postgres: "+line)
}

// tail keeps why a server ended: the last lines that said so.
type tail struct {
	mu    sync.Mutex // guards lines
	lines []string
}

// maxTail is how many lines a tail keeps.
const maxTail = 8

func (t *tail) keep(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if len(t.lines) > maxTail {
		t.lines = t.lines[1:]
	}
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return "it did not say why"
	}
	_, text, found := strings.Cut(t.lines[len(t.lines)-1], ":")
	if !found {
		return t.lines[len(t.lines)-1]
	}
	return strings.TrimSpace(text)
}

func (t *tail) contains(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range t.lines {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}
