package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// serverLogs are the logs of a server.
type serverLogs struct{ api *client }

var _ ledger.Source = serverLogs{}

// maxTile is the size of the largest bundle of entries.
const maxTile = ledger.Width * (2 + 1<<16)

func (s serverLogs) get(ctx context.Context, below string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := s.api.do(ctx, request{method: http.MethodGet, path: below})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxTile+1))
	return text, errs.As(wire.Unavailable, err, "the server's answer broke off")
}

// Checkpoint gets a log's newest checkpoint.
func (s serverLogs) Checkpoint(ctx context.Context, l ledger.Log) ([]byte, error) {
	return s.get(ctx, path("audit", "logs", l.String(), "checkpoint"))
}

// Tile gets a tile or a bundle.
func (s serverLogs) Tile(ctx context.Context, l ledger.Log, level int, place int64, width int) ([]byte, error) {
	text, err := s.get(ctx, path("audit", "logs", l.String())+"/"+ledger.Path(level, place, width))
	if errs.KindOf(err) == wire.NotFound { // the checkpoint says that it is there
		return nil, &ledger.Fault{Log: l, Place: place << ledger.Height, Why: "the server has no entries or hashes from here on, and the signed checkpoint says that it has"}
	}
	return text, err
}

// logs lists the logs that the server shows.
func (s serverLogs) logs(ctx context.Context) ([]ledger.Log, error) {
	states, err := fetchAll[httpapi.AuditLogState](ctx, s.api, path("audit", "logs"))
	if err != nil {
		return nil, err
	}
	logs := make([]ledger.Log, len(states))
	for i, state := range states {
		if logs[i], err = ledger.ParseLog(state.Log); err != nil {
			return nil, errs.As(wire.Unavailable, err, "the server listed a log that cannot be one")
		}
	}
	return logs, nil
}

// logOf finds the log of a project by its name or key; the log may be there and the project no more.
func (s serverLogs) logOf(ctx context.Context, project string) (ledger.Log, error) {
	if l, err := ledger.ParseLog(project); err == nil && l > ledger.Platform {
		return l, nil
	}
	p, err := fetch[httpapi.Project](ctx, s.api, request{method: http.MethodGet, path: path("projects", project)})
	return ledger.LogOf(p.Key), err
}

func (s serverLogs) key(ctx context.Context) (string, error) {
	k, err := fetch[httpapi.AuditKey](ctx, s.api, request{method: http.MethodGet, path: path("audit", "key"), query: url.Values{}})
	return k.Key, err
}

// directoryLogs are logs in a directory, one folder each, as `bulkhead audit export --tiles` writes them.
type directoryLogs struct{ root *os.Root }

var _ ledger.Source = directoryLogs{}

func (d directoryLogs) read(l ledger.Log, below string) ([]byte, error) {
	f, err := d.root.Open(filepath.Join(l.String(), filepath.FromSlash(below)))
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "%s/%s/%s cannot be read", d.root.Name(), l, below)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTile+1))
	return text, errs.As(wire.Invalid, err, "%s/%s/%s cannot be read", d.root.Name(), l, below)
}

// Checkpoint reads a log's checkpoint.
func (d directoryLogs) Checkpoint(_ context.Context, l ledger.Log) ([]byte, error) {
	return d.read(l, "checkpoint")
}

// Tile reads a tile or a bundle.
func (d directoryLogs) Tile(_ context.Context, l ledger.Log, level int, place int64, width int) ([]byte, error) {
	text, err := d.read(l, ledger.Path(level, place, width))
	if err != nil {
		return nil, &ledger.Fault{Log: l, Place: place << ledger.Height, Why: fmt.Sprintf("%s is missing", ledger.Path(level, place, width))}
	}
	return text, nil
}

func (d directoryLogs) logs() ([]ledger.Log, error) {
	entries, err := os.ReadDir(d.root.Name())
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "%s cannot be read", d.root.Name())
	}
	var logs []ledger.Log
	for _, e := range entries {
		if l, err := ledger.ParseLog(e.Name()); err == nil && e.IsDir() {
			logs = append(logs, l)
		}
	}
	sort.Slice(logs, func(i, j int) bool { return logs[i] < logs[j] })
	if len(logs) == 0 {
		return nil, errs.E(wire.Invalid, "%s has no log: want folders platform, logs or the key of a project, as bulkhead audit export --tiles writes them", d.root.Name())
	}
	return logs, nil
}

// signerOf gives the name that a checkpoint claims to be signed by.
func signerOf(checkpoint string) string {
	server, _, _ := strings.Cut(checkpoint, "/")
	return server
}
