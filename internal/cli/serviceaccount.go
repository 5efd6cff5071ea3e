package cli

import (
	"net/http"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// errDiffer is a password that was mistyped once.
var errDiffer = errs.E(wire.Invalid, "the two passwords differ")

func serviceAccountRows(s httpapi.ServiceAccount) [][]string {
	rows := [][]string{{"name", s.Name}, {"key", s.Key.String()}}
	if s.ProjectKey.Valid() {
		rows = append(rows, []string{"project", s.ProjectKey.String()})
	}
	return append(rows, []string{"owner", yesNo(s.Owner)}, []string{"suspended", yesNo(s.Suspended)}, []string{"created", when(s.CreatedAt)})
}

func (inv *invocation) serviceAccountCommand() *cobra.Command {
	on := func(method string, more ...string) func(*cobra.Command, []string) (request, error) {
		return func(_ *cobra.Command, args []string) (request, error) {
			return request{method: method, path: path(append([]string{"service-accounts", args[0]}, more...)...)}, nil
		}
	}
	return group("service-account", "Programs that act with API keys of their own",
		listing(inv, "list", "List service accounts", arguments(0, 0), at("service-accounts"), []string{"KEY", "NAME", "OWNER", "SUSPENDED", "CREATED"}, func(s httpapi.ServiceAccount) []string {
			return []string{s.Key.String(), s.Name, yesNo(s.Owner), yesNo(s.Suspended), when(s.CreatedAt)}
		}),
		acting(inv, "show ACCOUNT", "Show a service account", arguments(1, 1), on(http.MethodGet), serviceAccountRows),
		inv.serviceAccountCreate(),
		acting[none](inv, "suspend ACCOUNT", "Keep a service account out, and end what its keys have open", arguments(1, 1), on(http.MethodPost, "suspend"), nil),
		acting[none](inv, "resume ACCOUNT", "Let a suspended service account in again", arguments(1, 1), on(http.MethodPost, "resume"), nil),
		acting[none](inv, "delete ACCOUNT", "Delete a service account with its keys", arguments(1, 1), on(http.MethodDelete), nil),
	)
}

func (inv *invocation) serviceAccountCreate() *cobra.Command {
	var body httpapi.ServiceAccountCreate
	c := acting(inv, "create NAME", "Create a service account; it may do nothing until that is granted", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
		body.Name = args[0]
		return request{method: http.MethodPost, path: path("service-accounts"), body: body}, nil
	}, serviceAccountRows)
	c.Example = "  bulkhead service-account create ci\n  bulkhead apikey create ci-key --service-account ci --scope device.read"
	c.Flags().StringVar(&body.Project, "project", "", "project that it goes with; without it, the server")
	return c
}
