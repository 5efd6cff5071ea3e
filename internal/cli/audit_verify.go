package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// verified is what `bulkhead audit verify` says of a log.
type verified struct {
	Log     string `json:"log"`
	Entries int64  `json:"entries"`
	Root    string `json:"root"`
	Since   int64  `json:"entries_when_last_seen"`
	Older   bool   `json:"older_than_seen,omitempty"` // a directory of before: nothing in it says that it leads to what was seen
}

func (inv *invocation) auditVerify() *cobra.Command {
	var key, project string
	var accept bool
	c := &cobra.Command{
		Use: "verify [DIRECTORY|PROOF]", Short: "Check the logs of a server, a directory of tiles, or a proof; exit code 7 where it fails", Args: arguments(0, 1),
		Long: "Recomputes whole logs from their entries and compares them with what was signed, and with what this user saw of them before.\n" +
			"It needs no database, and for a directory or a proof no server.",
		Example: "  bulkhead audit verify\n  bulkhead audit verify entry-17.proof",
	}
	c.Flags().StringVar(&key, "key", "", "key that signed a directory or a proof, or a file with it; default: the key of its server, where that was verified before")
	c.Flags().StringVar(&project, "project", "", "check the log of this project only")
	c.Flags().BoolVar(&accept, "accept-new-key", false, "believe the server's key although it was another before")
	c.RunE = func(c *cobra.Command, args []string) error {
		v := &verifier{inv: inv, project: project}
		switch info, err := os.Stat(strings.Join(args, "")); {
		case len(args) == 0:
			return asVerification(v.server(c.Context(), accept))
		case err != nil:
			return errs.As(wire.Invalid, err, "%s cannot be read", args[0])
		case info.IsDir():
			return asVerification(v.directory(c.Context(), args[0], key))
		default:
			return asVerification(v.proof(args[0], key))
		}
	}
	return c
}

// asVerification gives a fault of a log the exit code of a failed verification.
func asVerification(err error) error {
	if fault := new(ledger.Fault); errors.As(err, &fault) {
		return &verificationError{fault.Error()}
	}
	return err
}

// verifier checks logs and remembers what it saw.
type verifier struct {
	inv     *invocation
	known   *knownLogs
	project string
	kept    bool // what is checked was written down at some time, and may be older than what was seen
}

func (v *verifier) server(ctx context.Context, accept bool) error {
	api, err := v.inv.client()
	if err != nil {
		return err
	}
	if v.known, err = v.inv.knownLogs(api.context); err != nil {
		return err
	}
	source := serverLogs{api}
	text, err := source.key(ctx)
	if err != nil {
		return err
	}
	key, err := v.known.trust(api.context.Server, text, accept)
	if err != nil {
		return err
	}
	var logs []ledger.Log
	if v.project != "" {
		only, err := source.logOf(ctx, v.project)
		if err != nil {
			return err
		}
		logs = []ledger.Log{only}
	} else if logs, err = source.logs(ctx); err != nil {
		return err
	} else if err := v.missing(text, logs, nil); err != nil {
		return err
	}
	return v.all(ctx, source, key, text, logs)
}

func (v *verifier) directory(ctx context.Context, dir, flag string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return errs.As(wire.Invalid, err, "%s cannot be read", dir)
	}
	defer root.Close()
	v.kept = true
	source := directoryLogs{root}
	logs, err := source.logs()
	if err != nil {
		return err
	}
	first, err := source.Checkpoint(ctx, logs[0])
	if err != nil {
		return err
	}
	known, key, text, err := v.inv.chosenKey(flag, signerOf(string(first)))
	if err != nil {
		return err
	}
	v.known = known
	if v.project != "" {
		only, err := ledger.ParseLog(v.project)
		if err != nil {
			return errs.As(wire.Invalid, err, "--project: want the key of a project, where a directory is checked")
		}
		logs = []ledger.Log{only}
	}
	return v.all(ctx, source, key, text, logs)
}

// missing finds logs that were seen, or that the log of the logs tells of, and are not shown.
func (v *verifier) missing(key string, shown []ledger.Log, told map[ledger.Log][]ledger.State) error {
	gone := func(name string, size int64) error {
		return &verificationError{fmt.Sprintf("log %s had %d entries and is not shown any more: it was dropped, or you may not read it any more", name, size)}
	}
	for name, state := range v.known.Logs[key] {
		if v.kept {
			break // a log may have begun later, and who exported may not have been allowed to read it
		}
		if l, err := ledger.ParseLog(name); err == nil && !slices.Contains(shown, l) {
			return gone(name, state.Size)
		}
	}
	for l, states := range told {
		if !slices.Contains(shown, l) {
			return gone(l.String(), states[len(states)-1].Size)
		}
	}
	return nil
}

// all checks the log of the logs first, where it may be read: it tells of states that the others must have been in.
func (v *verifier) all(ctx context.Context, source ledger.Source, key note.Verifier, text string, logs []ledger.Log) error {
	told := map[ledger.Log][]ledger.State{}
	var results []verified
	slices.Sort(logs) // the log of the logs is the least
	for _, l := range logs {
		progress := v.inv.progress("log " + l.String())
		seen := v.known.states(text, l)
		older := v.older(ctx, source, key, l, seen)
		if older {
			seen = nil
		}
		before := append(seen, told[l]...)
		check := ledger.Verification{Key: key, Log: l, Before: before, Done: progress.show}
		if l == ledger.Logs {
			check.Leaf = func(leaf []byte) error { return tellOf(told, leaf) }
		}
		c, err := check.Verify(ctx, source)
		progress.end()
		if err != nil {
			return err
		}
		if l == ledger.Logs && v.project == "" {
			if err := v.missing(text, logs, told); err != nil {
				return err
			}
		}
		result := verified{Log: l.String(), Entries: c.Size, Root: c.Root.String(), Older: older}
		if seen := v.known.states(text, l); len(seen) > 0 {
			result.Since = seen[0].Size
		}
		v.known.saw(text, l, c)
		results = append(results, result)
	}
	if err := v.known.save(); err != nil {
		return err
	}
	return v.inv.print(results, func() table { return verifiedTable(results) })
}

// older reports whether a log in a directory is of before what was seen of it. It is whole all the same; whether it is how
// the log began can be said only with the entries that came after it.
func (v *verifier) older(ctx context.Context, source ledger.Source, key note.Verifier, l ledger.Log, seen []ledger.State) bool {
	if !v.kept || len(seen) == 0 {
		return false
	}
	text, err := source.Checkpoint(ctx, l)
	if err != nil {
		return false // the verification says so
	}
	c, err := ledger.Open(text, ledger.Origin(key.Name(), l), key)
	if err != nil || c.Size >= seen[0].Size {
		return false
	}
	fmt.Fprintf(v.inv.Err, "Log %s has %d entries here, and you have seen it with %d: this directory is older. That those %d are the first of what you saw is not shown by it; verify the server, or a newer directory.\n",
		l, c.Size, seen[0].Size, c.Size)
	return true
}

func tellOf(told map[ledger.Log][]ledger.State, leaf []byte) error {
	state, of, err := ledger.ParseState(leaf)
	if err != nil {
		return &ledger.Fault{Log: ledger.Logs, Place: -1, Why: err.Error()}
	}
	told[of] = append(told[of], state)
	return nil
}

func verifiedTable(results []verified) table {
	t := table{head: []string{"LOG", "ENTRIES", "LAST SEEN WITH", "ROOT"}}
	for _, r := range results {
		since := "never"
		if r.Since > 0 {
			since = text(r.Since)
		}
		if r.Older {
			since += " (newer)"
		}
		t.add(r.Log, text(r.Entries), since, r.Root)
	}
	return t
}

// proof checks one entry, from a file alone.
func (v *verifier) proof(file, flag string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return errs.As(wire.Invalid, err, "%s cannot be read", file)
	}
	p, err := ledger.ParseProof(content)
	if err != nil {
		return &verificationError{fmt.Sprintf("%s: %v", file, err)}
	}
	_, key, _, err := v.inv.chosenKey(flag, signerOf(p.Checkpoint))
	if err != nil {
		return err
	}
	entry, checkpoint, err := p.Check(key)
	if err != nil {
		return &verificationError{fmt.Sprintf("%s: %v", file, err)}
	}
	return v.inv.print(entry, func() table {
		t := table{head: []string{"SEQUENCE", "TIME", "SEVERITY", "ACTOR", "ACTION", "ASSET", "OUTCOME"}}
		t.add(entryCells(entry)...)
		fmt.Fprintf(v.inv.Err, "The entry is at place %d of the log %s with %d entries, which %s signed.\n", p.Place, printable(checkpoint.Origin), checkpoint.Size, key.Name())
		return t
	})
}

const (
	progressAfter = 2 * time.Second
	progressEvery = 200 * time.Millisecond
	progressWidth = 30
)

// progress is a bar on a terminal, for what takes long.
type progress struct {
	to    io.Writer // nil off a terminal
	what  string
	begun time.Time
	shown time.Time
}

func (inv *invocation) progress(what string) *progress {
	p := &progress{what: what, begun: time.Now()}
	if isTerminal(inv.Err) {
		p.to = inv.Err
	}
	return p
}

func (p *progress) show(done, of int64) {
	now := time.Now()
	if p.to == nil || of == 0 || now.Sub(p.begun) < progressAfter || now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	filled := int(done * progressWidth / of)
	fmt.Fprintf(p.to, "\r%s [%s%s] %d of %d entries", p.what, strings.Repeat("#", filled), strings.Repeat(" ", progressWidth-filled), done, of)
}

func (p *progress) end() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
