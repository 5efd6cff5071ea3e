package cli

import (
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/backend/databackend"
	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func appRows(a httpapi.App) [][]string {
	rows := [][]string{{"name", a.Name}, {"key", a.Key.String()}, {"title", a.Title}, {"created", when(a.CreatedAt)}}
	if a.OwnerKey.Valid() {
		rows = append(rows, []string{"owner", a.OwnerKey.String()})
	}
	return rows
}

func (inv *invocation) appCommand() *cobra.Command {
	one := func(method string) func(*cobra.Command, []string) (request, error) {
		return func(_ *cobra.Command, args []string) (request, error) {
			return request{method: method, path: path("apps", args[0])}, nil
		}
	}
	return group("app", "Apps, and their installations in projects",
		listing(inv, "list", "List apps", arguments(0, 0), at("apps"), []string{"NAME", "KEY", "TITLE"}, func(a httpapi.App) []string {
			return []string{a.Name, a.Key.String(), a.Title}
		}),
		acting(inv, "show APP", "Show an app", arguments(1, 1), one(http.MethodGet), appRows),
		inv.appCreate(), inv.appUpdate(),
		acting[none](inv, "delete APP", "Delete an app that is installed nowhere", arguments(1, 1), one(http.MethodDelete), nil),
		inv.appInstall(), inv.appUninstall(), inv.appInstallations(),
	)
}

func (inv *invocation) appCreate() *cobra.Command {
	var title, owner string
	c := acting(inv, "create NAME", "Create an app", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
		return request{method: http.MethodPost, path: path("apps"), body: httpapi.AppCreate{Name: args[0], Title: title, Owner: owner}}, nil
	}, appRows)
	c.Flags().StringVar(&title, "title", "", "name for people")
	c.Flags().StringVar(&owner, "owner", "", "project that owns it and alone may install it; without it every project may")
	return c
}

func (inv *invocation) appUpdate() *cobra.Command {
	var title string
	c := acting(inv, "update APP", "Change an app's title", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		return request{method: http.MethodPatch, path: path("apps", args[0]), ifMatch: "*", body: httpapi.AppUpdate{Title: changed(c, "title", &title)}}, nil
	}, appRows)
	c.Flags().StringVar(&title, "title", "", "new title")
	return c
}

func installationRows(i httpapi.Installation) [][]string {
	return [][]string{
		{"installation", i.Project + "/" + i.App + "@" + string(i.Stage)}, {"realm", i.Realm}, {"state", i.State},
		{"schema", i.Schema}, {"tables", strings.Join(i.Tables, " ")}, {"created", when(i.CreatedAt)},
	}
}

func (inv *invocation) appInstallations() *cobra.Command {
	var project string
	return ofProject(listing(inv, "installations --project PROJECT", "List what a project has installed", nil, func(*cobra.Command, []string) (string, error) {
		return path("projects", project, "installations"), nil
	}, []string{"INSTALLATION", "STATE", "REALM"}, func(i httpapi.Installation) []string {
		return []string{i.Project + "/" + i.App + "@" + string(i.Stage), i.State, i.Realm}
	}), &project, true)
}

func (inv *invocation) appInstall() *cobra.Command {
	var project, stage, template string
	c := acting(inv, "install APP --project PROJECT --stage prod --template FILE", "Install an app: its realm, schema, credentials and tables, or nothing", arguments(1, 1),
		func(c *cobra.Command, args []string) (request, error) {
			if err := required(c, "project", "stage", "template"); err != nil {
				return request{}, err
			}
			text, err := inv.readTemplate(template)
			if err != nil {
				return request{}, err
			}
			return request{
				method: http.MethodPost, path: path("projects", project, "installations"),
				body: httpapi.InstallationCreate{App: args[0], Stage: wire.Stage(stage), Template: string(text)},
			}, nil
		}, installationRows)
	c.Example = "  bulkhead app install host-metrics --project plant-a --stage dev --template configs/host-metrics.yaml"
	c.Flags().StringVar(&project, "project", "", "project")
	c.Flags().StringVar(&stage, "stage", "", "dev or prod")
	c.Flags().StringVar(&template, "template", "", "data template, a YAML or JSON file; - reads standard input")
	return c
}

// readTemplate checks a template before it is sent, so that its faults come with the name of the file.
func (inv *invocation) readTemplate(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(inv.In, maxReply))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "template %s cannot be read", file)
	}
	_, err = databackend.ParseTemplate(file, text)
	return text, err
}

func (inv *invocation) appUninstall() *cobra.Command {
	var project, stage string
	var export bool
	c := acting(inv, "uninstall APP --project PROJECT --stage prod", "Remove an installation: its realm, then its data", arguments(1, 1),
		func(c *cobra.Command, args []string) (request, error) {
			if err := required(c, "project", "stage"); err != nil {
				return request{}, err
			}
			r := request{method: http.MethodDelete, path: path("projects", project, "installations", args[0]+"@"+stage)}
			if export {
				r.query = map[string][]string{"export": {"true"}}
			}
			return r, nil
		}, func(d httpapi.InstallationDeleted) [][]string {
			if d.ExportedTo == "" {
				return nil
			}
			return [][]string{{"exported to", d.ExportedTo}}
		})
	c.Flags().StringVar(&project, "project", "", "project")
	c.Flags().StringVar(&stage, "stage", "", "dev or prod")
	c.Flags().BoolVar(&export, "export", false, "keep all rows in files on the server")
	return c
}

// required refuses a command line that lacks a flag.
func required(c *cobra.Command, flags ...string) error {
	for _, flag := range flags {
		if c.Flags().Lookup(flag).Value.String() == "" {
			return usage(c, "--%s is missing", flag)
		}
	}
	return nil
}
