package cli

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
)

func groupRows(g httpapi.Group) [][]string {
	return [][]string{{"name", g.Name}, {"key", g.Key.String()}, {"title", g.Title}, {"created", when(g.CreatedAt)}}
}

// groupPath reads PROJECT/GROUP.
func groupPath(c *cobra.Command, text string, more ...string) (string, error) {
	project, name, ok := strings.Cut(text, "/")
	if !ok || project == "" || name == "" {
		return "", usage(c, "%q: want PROJECT/GROUP", text)
	}
	return path(append([]string{"projects", project, "groups", name}, more...)...), nil
}

func (inv *invocation) groupCommand() *cobra.Command {
	one := func(method string) func(*cobra.Command, []string) (request, error) {
		return func(c *cobra.Command, args []string) (request, error) {
			at, err := groupPath(c, args[0])
			return request{method: method, path: at}, err
		}
	}
	return group("group", "Groups of devices: what is granted on one reaches its devices",
		inv.groupList(),
		acting(inv, "show PROJECT/GROUP", "Show a group", arguments(1, 1), one(http.MethodGet), groupRows),
		inv.groupCreate(), inv.groupUpdate(),
		acting[none](inv, "delete PROJECT/GROUP", "Delete a group and what was granted on it; its devices stay", arguments(1, 1), one(http.MethodDelete), nil),
		listing(inv, "devices PROJECT/GROUP", "List the devices of a group", arguments(1, 1), func(c *cobra.Command, args []string) (string, error) {
			return groupPath(c, args[0], "devices")
		}, []string{"NAME", "KEY", "SERIAL", "SUSPENDED"}, func(d httpapi.Device) []string {
			return []string{d.Name, d.Key.String(), string(d.Serial), yesNo(d.Suspended)}
		}),
		inv.groupDevice("add", "Add devices to a group", http.MethodPut), inv.groupDevice("remove", "Take devices out of a group", http.MethodDelete),
	)
}

func (inv *invocation) groupList() *cobra.Command {
	var project string
	return ofProject(listing(inv, "list --project PROJECT", "List the groups of a project", nil, func(*cobra.Command, []string) (string, error) {
		return path("projects", project, "groups"), nil
	}, []string{"NAME", "KEY", "TITLE"}, func(g httpapi.Group) []string { return []string{g.Name, g.Key.String(), g.Title} }), &project, true)
}

func (inv *invocation) groupCreate() *cobra.Command {
	var project, title string
	c := acting(inv, "create NAME --project PROJECT", "Create a group of devices", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		if project == "" {
			return request{}, usage(c, "--project is needed")
		}
		return request{method: http.MethodPost, path: path("projects", project, "groups"), body: httpapi.GroupCreate{Name: args[0], Title: title}}, nil
	}, groupRows)
	c.Flags().StringVar(&project, "project", "", "project, by name or key")
	c.Flags().StringVar(&title, "title", "", "name for people")
	return c
}

func (inv *invocation) groupUpdate() *cobra.Command {
	var name, title string
	c := acting(inv, "update PROJECT/GROUP", "Change a group's name or title", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		at, err := groupPath(c, args[0])
		return request{
			method: http.MethodPatch, path: at, ifMatch: "*",
			body: httpapi.GroupUpdate{Name: changed(c, "name", &name), Title: changed(c, "title", &title)},
		}, err
	}, groupRows)
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().StringVar(&title, "title", "", "new title")
	return c
}

// groupDevice is a command for several devices, one after the other.
func (inv *invocation) groupDevice(verb, short, method string) *cobra.Command {
	c := &cobra.Command{Use: verb + " PROJECT/GROUP DEVICE...", Short: short, Args: arguments(2, -1)}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		for _, device := range args[1:] {
			// PROJECT/NAME names a device too; of another project than the group's it is not found.
			name := strings.TrimPrefix(device, strings.SplitAfter(args[0], "/")[0])
			target, err := groupPath(c, args[0], "devices", name)
			if err != nil {
				return err
			}
			if _, err := fetch[none](c.Context(), api, request{method: method, path: target}); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}
