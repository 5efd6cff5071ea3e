package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func (inv *invocation) contextCommand() *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "List the remembered servers", Args: arguments(0, 0)}
	list.RunE = func(*cobra.Command, []string) error { return inv.listContexts() }
	use := &cobra.Command{Use: "use NAME", Short: "Talk to this server from now on", Args: arguments(1, 1)}
	use.RunE = func(_ *cobra.Command, args []string) error {
		contexts, err := OpenContexts(inv.environ)
		if err != nil {
			return err
		}
		return contexts.Use(args[0])
	}
	remove := &cobra.Command{Use: "delete NAME", Short: "Forget a server, and the login to it", Args: arguments(1, 1)}
	remove.RunE = func(c *cobra.Command, args []string) error { return inv.deleteContext(c.Context(), args[0]) }
	return group("context", "Remembered servers", list, use, remove)
}

// namedContext is a context in a listing.
type namedContext struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	Context
}

// deleteContext ends the login as well; where the server cannot be told it is forgotten all the same.
func (inv *invocation) deleteContext(ctx context.Context, name string) error {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return err
	}
	target, err := contexts.Get(name)
	if err != nil {
		return err
	}
	var told error
	if target.Login != nil {
		told = inv.endOnServer(ctx, target)
	}
	return errors.Join(contexts.Delete(name), told)
}

func (inv *invocation) listContexts() error {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return err
	}
	names, err := contexts.Names()
	if err != nil {
		return err
	}
	current, err := contexts.Current()
	if err != nil {
		return err
	}
	listed := []namedContext{}
	for _, name := range names {
		found, err := contexts.Get(name)
		if err != nil {
			return err
		}
		listed = append(listed, namedContext{name, name == current, found})
	}
	return inv.print(listed, func() table {
		t := table{head: []string{"", "NAME", "SERVER", "AS"}}
		for _, c := range listed {
			mark := ""
			if c.Current {
				mark = "*"
			}
			t.add(mark, c.Name, c.Server, c.as())
		}
		return t
	})
}

// as says as whom a context talks to its server.
func (c Context) as() string {
	switch {
	case c.Login != nil:
		return c.Login.User
	case c.APIKeyFile != "":
		return "API key in " + c.APIKeyFile
	default:
		return ""
	}
}
