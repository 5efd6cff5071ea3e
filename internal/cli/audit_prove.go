package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func (inv *invocation) auditProve() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "prove ENTRY", Short: "Write a file that proves one entry to whoever has the server's key, for ever", Args: arguments(1, 1),
		Example: "  bulkhead audit prove 17 --file entry-17.proof",
	}
	c.Flags().StringVar(&file, "file", "", "where to; default entry-ENTRY.proof")
	c.RunE = func(c *cobra.Command, args []string) error {
		sequence, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || sequence < 1 {
			return usage(c, "%s: want the sequence of an entry, as bulkhead audit list shows it", args[0])
		}
		if file == "" {
			file = fmt.Sprintf("entry-%d.proof", sequence)
		}
		return inv.prove(c.Context(), sequence, file)
	}
	return c
}

// prove fetches a proof and believes it only when it is one.
func (inv *invocation) prove(ctx context.Context, sequence int64, file string) error {
	api, err := inv.client()
	if err != nil {
		return err
	}
	known, err := inv.knownLogs(api.context)
	if err != nil {
		return err
	}
	text, err := serverLogs{api}.key(ctx)
	if err != nil {
		return err
	}
	key, err := known.trust(api.context.Server, text, false)
	if err != nil {
		return err
	}
	p, err := fetch[httpapi.AuditProof](ctx, api, request{method: http.MethodGet, path: path("audit", "entries", strconv.FormatInt(sequence, 10), "proof")})
	if err != nil {
		return err
	}
	entry, _, err := p.Check(key)
	if err != nil {
		return &verificationError{"the server's proof proves nothing: " + err.Error()}
	}
	if entry.Sequence != sequence {
		return &verificationError{fmt.Sprintf("the server proved entry %d in place of %d", entry.Sequence, sequence)}
	}
	encoded, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = secret.WriteFile(file, append(encoded, '\n'))
	}
	if err = errors.Join(errs.As(wire.Unavailable, err, "%s cannot be written", file), known.save()); err != nil {
		return err
	}
	fmt.Fprintf(inv.Err, "Wrote %s. Check it with: bulkhead audit verify %s --key '%s'\n", file, file, text)
	return nil
}

// exportTiles writes logs as they are served, so that anybody who has the key can verify them.
func (inv *invocation) exportTiles(ctx context.Context, api *client, project, dir string) error {
	known, err := inv.knownLogs(api.context)
	if err != nil {
		return err
	}
	source := serverLogs{api}
	text, err := source.key(ctx)
	if err != nil {
		return err
	}
	key, err := known.trust(api.context.Server, text, false)
	if err != nil {
		return err
	}
	logs, err := source.logs(ctx)
	if project != "" && err == nil {
		logs = make([]ledger.Log, 1)
		logs[0], err = source.logOf(ctx, project)
	}
	if err != nil {
		return err
	}
	for _, l := range logs {
		if err := inv.exportLog(ctx, source, key, l, filepath.Join(dir, l.String())); err != nil {
			return asVerification(err)
		}
	}
	fmt.Fprintf(inv.Err, "Wrote %d logs into %s. Check them with: bulkhead audit verify %s --key '%s'\n", len(logs), dir, dir, text)
	return known.save()
}

// exportLog verifies what it writes.
func (inv *invocation) exportLog(ctx context.Context, from ledger.Source, key note.Verifier, l ledger.Log, dir string) error {
	progress := inv.progress("log " + l.String())
	defer progress.end()
	copying := &copied{Source: from, dir: dir}
	_, err := ledger.Verification{Key: key, Log: l, Done: progress.show}.Verify(ctx, copying)
	return err
}

// copied keeps a copy of what is read.
type copied struct {
	ledger.Source
	dir string
}

func (c *copied) keep(name string, text []byte) error {
	file := filepath.Join(c.dir, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	return errs.As(wire.Unavailable, err, "%s cannot be written", file)
}

// Checkpoint reads and keeps a checkpoint.
func (c *copied) Checkpoint(ctx context.Context, l ledger.Log) ([]byte, error) {
	text, err := c.Source.Checkpoint(ctx, l)
	if err == nil {
		err = c.keep("checkpoint", text)
	}
	return text, err
}

// Tile reads and keeps a tile or a bundle.
func (c *copied) Tile(ctx context.Context, l ledger.Log, level int, place int64, width int) ([]byte, error) {
	text, err := c.Source.Tile(ctx, l, level, place, width)
	if err == nil {
		err = c.keep(ledger.Path(level, place, width), text)
	}
	return text, err
}
