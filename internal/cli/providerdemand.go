package cli

import (
	"net/http"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func demandRows(p httpapi.DemandedProvider) [][]string {
	if !p.Key.Valid() {
		return [][]string{{"provider", "any"}}
	}
	return [][]string{{"provider", p.Name}, {"key", p.Key.String()}, {"title", p.Title}}
}

func (inv *invocation) providerDemand(project *string) *cobra.Command {
	var anyone bool
	c := acting(inv, "demand [PROVIDER] --project PROJECT", "Show, or say as an owner, whose users may be in a project", arguments(0, 1), func(_ *cobra.Command, args []string) (request, error) {
		r := request{method: http.MethodGet, path: path("projects", *project, "demanded-provider")}
		switch {
		case *project == "":
			return r, errs.E(wire.Invalid, "name the project: --project PROJECT")
		case anyone && len(args) > 0:
			return r, errs.E(wire.Invalid, "give a provider or --any, not both")
		case anyone:
			r.method, r.body = http.MethodPut, httpapi.ProviderDemand{}
		case len(args) > 0:
			r.method, r.body = http.MethodPut, httpapi.ProviderDemand{Provider: args[0]}
		}
		return r, nil
	}, demandRows)
	c.Example = "  bulkhead provider demand company --project plant-a"
	c.Flags().BoolVar(&anyone, "any", false, "let the users of every provider, and local ones, in again")
	return c
}
