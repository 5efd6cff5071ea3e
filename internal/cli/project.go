package cli

import (
	"net/http"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
)

func projectRows(p httpapi.Project) [][]string {
	return [][]string{
		{"name", p.Name}, {"key", p.Key.String()}, {"title", p.Title}, {"device realm", p.DeviceRealm}, {"created", when(p.CreatedAt)},
	}
}

func (inv *invocation) projectCommand() *cobra.Command {
	one := func(method string) func(*cobra.Command, []string) (request, error) {
		return func(_ *cobra.Command, args []string) (request, error) {
			return request{method: method, path: path("projects", args[0])}, nil
		}
	}
	return group("project", "Projects: who owns devices and installations",
		listing(inv, "list", "List projects", arguments(0, 0), at("projects"), []string{"NAME", "KEY", "DEVICE REALM", "CREATED"}, func(p httpapi.Project) []string {
			return []string{p.Name, p.Key.String(), p.DeviceRealm, when(p.CreatedAt)}
		}),
		acting(inv, "show PROJECT", "Show a project", arguments(1, 1), one(http.MethodGet), projectRows),
		inv.projectCreate(), inv.projectUpdate(), inv.quotaCommand(),
		acting[none](inv, "delete PROJECT", "Delete a project with its devices, installations and data", arguments(1, 1), one(http.MethodDelete), nil),
	)
}

func (inv *invocation) projectCreate() *cobra.Command {
	var title string
	c := acting(inv, "create NAME", "Create a project", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
		return request{method: http.MethodPost, path: path("projects"), body: httpapi.ProjectCreate{Name: args[0], Title: title}}, nil
	}, projectRows)
	c.Example = "  bulkhead project create plant-a"
	c.Flags().StringVar(&title, "title", "", "name for people")
	return c
}

func (inv *invocation) projectUpdate() *cobra.Command {
	var name, title string
	c := acting(inv, "update PROJECT", "Change a project's name or title", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		return request{
			method: http.MethodPatch, path: path("projects", args[0]), ifMatch: "*",
			body: httpapi.ProjectUpdate{Name: changed(c, "name", &name), Title: changed(c, "title", &title)},
		}, nil
	}, projectRows)
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().StringVar(&title, "title", "", "new title")
	return c
}

// changed gives the value of a flag that was given, else nil: "leave it as it is".
func changed(c *cobra.Command, flag string, value *string) *string {
	if c.Flags().Changed(flag) {
		return value
	}
	return nil
}
