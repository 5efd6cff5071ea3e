package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func (inv *invocation) keysCommand() *cobra.Command {
	return group("keys", "Keys that seal the secrets which the server stores",
		inv.keysList(), inv.keysRotate(),
		acting[none](inv, "drop ID", "Take away a key that nothing stored needs any more", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("keys", args[0])}, nil
		}, nil),
	)
}

func (inv *invocation) keysList() *cobra.Command {
	return acting(inv, "list", "List the keys, and how many stored secrets need each", arguments(0, 0), func(*cobra.Command, []string) (request, error) {
		return request{method: http.MethodGet, path: path("keys")}, nil
	}, func(k httpapi.SealingKeys) [][]string {
		rows := [][]string{{"ID", "STATE", "SECRETS"}}
		for _, key := range k.Keys {
			state := "old"
			switch {
			case key.Primary:
				state = "in use"
			case key.Missing:
				state = "missing"
			}
			rows = append(rows, []string{key.ID, state, text(key.Values)})
		}
		return rows
	})
}

func (inv *invocation) keysRotate() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "rotate", Short: "Make a new key, and give it to everything that is stored, while the server works", Args: arguments(0, 0),
		Long: "The server writes a new key into its key file, seals with it from then on, and gives it to what is stored. Interrupting the command does not stop that.\n" +
			"Keep a new copy of the key file afterwards, apart from the database. The older key can then be taken away with: bulkhead keys drop ID",
	}
	c.Flags().BoolVar(&keep, "keep-key", false, "make no new key: finish what was begun, or what is left after the key file was changed by hand")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		keys, err := fetch[httpapi.SealingKeys](c.Context(), api, request{method: http.MethodPost, path: path("keys", "rotate"), body: httpapi.SealingRotate{NewKey: !keep}})
		if err != nil {
			return err
		}
		if keys, err = inv.awaitRotation(c.Context(), api, keys); err != nil {
			return err
		}
		if keys.Work.Failed > 0 {
			return errs.E(wire.Unavailable, "%d stored secrets cannot be opened: their key is missing, or they were altered; see: bulkhead keys list", keys.Work.Failed)
		}
		return inv.print(keys, func() table {
			return table{rows: [][]string{{"key in use", keys.Keys[0].ID}, {"secrets", text(keys.Keys[0].Values)}}}
		})
	}
	return c
}

// awaitRotation shows how far the work is until it is done.
func (inv *invocation) awaitRotation(ctx context.Context, api *client, keys httpapi.SealingKeys) (_ httpapi.SealingKeys, err error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	shown := isTerminal(inv.Err)
	for keys.Work.Running {
		if shown {
			fmt.Fprintf(inv.Err, "\r%s", bar(keys.Work.Done+keys.Work.Failed, keys.Work.Total))
		}
		select {
		case <-ctx.Done():
			return keys, ctx.Err()
		case <-tick.C:
		}
		if keys, err = fetch[httpapi.SealingKeys](ctx, api, request{method: http.MethodGet, path: path("keys")}); err != nil {
			return keys, err
		}
	}
	if shown {
		fmt.Fprintf(inv.Err, "\r%s\n", bar(1, 1))
	}
	return keys, nil
}

// bar shows how much of a work is done.
func bar(done, total int) string {
	const width = 40
	filled := width
	if total > 0 {
		filled = min(width, width*done/total)
	}
	return fmt.Sprintf("[%s%s] %d%%", strings.Repeat("#", filled), strings.Repeat(".", width-filled), 100*filled/width)
}
