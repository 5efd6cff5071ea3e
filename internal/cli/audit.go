package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
)

func (inv *invocation) auditCommand() *cobra.Command {
	return group("audit", "The record of what was done, and its proofs", inv.auditList(), inv.auditProve(), inv.auditVerify(), inv.auditExport(), inv.auditAcceptRestore())
}

// auditFilter is what entries are chosen by.
type auditFilter struct {
	project, actor, action, asset, severity, since, until string
}

func (f *auditFilter) flags(c *cobra.Command) {
	for _, flag := range []struct {
		to          *string
		name, usage string
	}{
		{&f.project, "project", "entries of this project only"},
		{&f.actor, "actor", "key of who did it"},
		{&f.action, "action", "one action, like device.create, or a kind of asset, like device"},
		{&f.asset, "asset", "kind, key or name of what it was done to"},
		{&f.severity, "severity", "info, notice or warning"},
		{&f.since, "since", "from then on: a time like 2026-05-04T12:00:00Z, or how long ago, like 90m"},
		{&f.until, "until", "before then, likewise"},
	} {
		c.Flags().StringVar(flag.to, flag.name, "", flag.usage)
	}
}

func (f *auditFilter) query(c *cobra.Command) (url.Values, error) {
	q := url.Values{"limit": {pageSize}}
	for name, value := range map[string]string{"project": f.project, "actor": f.actor, "action": f.action, "asset": f.asset, "severity": f.severity} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, value := range map[string]string{"since": f.since, "until": f.until} {
		if value == "" {
			continue
		}
		at, err := moment(value, time.Now())
		if err != nil {
			return nil, usage(c, "--%s %s: want a time like 2026-05-04T12:00:00Z, or how long ago, like 90m", name, value)
		}
		q.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	return q, nil
}

// moment reads a time, or how long ago it was.
func moment(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	return time.Parse(time.RFC3339, text)
}

func (inv *invocation) auditList() *cobra.Command {
	var filter auditFilter
	var limit int
	var follow bool
	c := &cobra.Command{
		Use: "list [--project PROJECT]", Short: "List what was done, newest first",
		Example: "  bulkhead audit list --project plant-a --since 24h\n  bulkhead audit list --severity warning --follow",
	}
	filter.flags(c)
	c.Flags().IntVar(&limit, "limit", 50, "at most so many entries; 0: all")
	c.Flags().BoolVar(&follow, "follow", false, "go on with new entries as they come, the oldest first")
	c.RunE = func(c *cobra.Command, _ []string) error {
		query, err := filter.query(c)
		if err != nil {
			return err
		}
		api, err := inv.client()
		if err != nil {
			return err
		}
		if follow {
			return inv.follow(c.Context(), api, query)
		}
		entries, err := fetchEntries(c.Context(), api, query, limit)
		if err != nil {
			return err
		}
		return inv.print(entries, func() table {
			t := table{head: []string{"SEQUENCE", "TIME", "SEVERITY", "ACTOR", "ACTION", "ASSET", "OUTCOME"}}
			for _, e := range entries {
				t.add(entryCells(e)...)
			}
			return t
		})
	}
	return ofProject(c, &filter.project, false)
}

func fetchEntries(ctx context.Context, api *client, query url.Values, limit int) ([]audit.Entry, error) {
	all := []audit.Entry{}
	for {
		if limit > 0 {
			query.Set("limit", strconv.Itoa(min(limit-len(all), 200)))
		}
		page, err := fetch[httpapi.List[audit.Entry]](ctx, api, request{method: http.MethodGet, path: path("audit"), query: query})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" || limit > 0 && len(all) >= limit {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

func entryCells(e audit.Entry) []string {
	who := e.Actor.Name
	if who == "" {
		who = e.Actor.ID
	}
	asset := e.Asset.Kind
	if e.Asset.Name != "" {
		asset += " " + e.Asset.Name
	} else if e.Asset.Key.Valid() {
		asset += " " + e.Asset.Key.String()
	}
	return []string{strconv.FormatInt(e.Sequence, 10), when(e.Time), string(e.Severity), string(e.Actor.Kind) + " " + who, string(e.Action), asset, string(e.Outcome)}
}

const (
	// followEvery is how often new entries are asked for.
	followEvery = time.Second
	// followBack is how far an entry may come late: sequences are drawn before transactions are over.
	followBack = 200
)

// follow prints new entries until it is interrupted.
func (inv *invocation) follow(ctx context.Context, api *client, query url.Values) error {
	newest, err := fetchEntries(ctx, api, query, 1)
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	var last int64
	if len(newest) > 0 {
		last = newest[0].Sequence
	}
	begun := last
	query.Set("order", "oldest")
	ticks := time.NewTicker(followEvery)
	defer ticks.Stop()
	for {
		query.Set("after", strconv.FormatInt(max(begun, last-followBack), 10))
		query.Del("cursor")
		entries, err := fetchEntries(ctx, api, query, 0)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if seen[e.Sequence] {
				continue
			}
			seen[e.Sequence], last = true, max(last, e.Sequence)
			if err := inv.printEntry(e); err != nil {
				return err
			}
		}
		for sequence := range seen {
			if sequence <= last-followBack {
				delete(seen, sequence)
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// printEntry prints one entry as a line, in JSON too.
func (inv *invocation) printEntry(e audit.Entry) error {
	if inv.output != "table" {
		return encodeJSON(inv.Out, e, "")
	}
	_, err := fmt.Fprintln(inv.Out, strings.Join(mapped(entryCells(e), printable), "  "))
	return err
}

func (inv *invocation) auditExport() *cobra.Command {
	var filter auditFilter
	var tiles string
	c := &cobra.Command{
		Use: "export", Short: "Write entries as JSON lines, the oldest first, or whole logs as a directory that verifies", Args: arguments(0, 0),
		Example: "  bulkhead audit export --project plant-a > plant-a.jsonl\n  bulkhead audit export --tiles audit-2026",
	}
	filter.flags(c)
	c.Flags().StringVar(&tiles, "tiles", "", "write the logs into this directory, in the form of C2SP tlog-tiles, in place of lines")
	c.RunE = func(c *cobra.Command, _ []string) error {
		query, err := filter.query(c)
		if err != nil {
			return err
		}
		api, err := inv.client()
		if err != nil {
			return err
		}
		if tiles != "" {
			return inv.exportTiles(c.Context(), api, filter.project, tiles)
		}
		return inv.exportLines(c.Context(), api, query)
	}
	return c
}

func (inv *invocation) exportLines(ctx context.Context, api *client, query url.Values) error {
	query.Set("order", "oldest")
	for {
		page, err := fetch[httpapi.List[json.RawMessage]](ctx, api, request{method: http.MethodGet, path: path("audit"), query: query})
		if err != nil {
			return err
		}
		for _, line := range page.Items {
			if err := encodeJSON(inv.Out, line, ""); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		query.Set("cursor", page.Next)
	}
}
