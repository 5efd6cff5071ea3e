package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
)

// pageSize is how many items are asked for at a time.
const pageSize = "200"

// fetchAll follows a list to its end.
func fetchAll[T any](ctx context.Context, c *client, listPath string, filters ...url.Values) ([]T, error) {
	all := []T{}
	query := url.Values{"limit": {pageSize}}
	for _, filter := range filters {
		maps.Copy(query, filter)
	}
	for {
		page, err := fetch[httpapi.List[T]](ctx, c, request{method: http.MethodGet, path: listPath, query: query})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

// listing is a command that prints all of a list.
func listing[T any](inv *invocation, use, short string, args cobra.PositionalArgs, listPath func(c *cobra.Command, args []string) (string, error), head []string, row func(T) []string) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: args}
	command.RunE = func(c *cobra.Command, args []string) error {
		target, err := listPath(c, args)
		if err != nil {
			return err
		}
		api, err := inv.client()
		if err != nil {
			return err
		}
		items, err := fetchAll[T](c.Context(), api, target)
		if err != nil {
			return err
		}
		return inv.print(items, func() table {
			t := table{head: head}
			for _, item := range items {
				t.add(row(item)...)
			}
			return t
		})
	}
	return command
}

// at is the path of a list that has no arguments.
func at(components ...string) func(*cobra.Command, []string) (string, error) {
	return func(*cobra.Command, []string) (string, error) { return path(components...), nil }
}

// acting is a command that makes one request and prints its reply, if there is one.
func acting[T any](inv *invocation, use, short string, args cobra.PositionalArgs, make func(c *cobra.Command, args []string) (request, error), rows func(T) [][]string) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: args}
	command.RunE = func(c *cobra.Command, args []string) error {
		r, err := make(c, args)
		if err != nil {
			return err
		}
		api, err := inv.client()
		if err != nil {
			return err
		}
		reply, err := fetch[T](c.Context(), api, r)
		if err != nil || rows == nil {
			return err
		}
		return inv.print(reply, func() table { return table{rows: rows(reply)} })
	}
	return command
}

// none is the reply of a request that has none.
type none struct{}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func text(v any) string { return fmt.Sprint(v) }
