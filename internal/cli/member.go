package cli

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

func memberRows(m httpapi.Member) [][]string {
	return [][]string{{"user", called(m.Principal)}, {"key", m.Principal.Key.String()}, {"reaches", reach(m)}, {"added", when(m.AddedAt)}}
}

func reach(m httpapi.Member) string {
	if !m.Limited {
		return "the whole project"
	}
	keys := make([]string, len(m.Groups))
	for i, k := range m.Groups {
		keys[i] = k.String()
	}
	return "groups " + strings.Join(keys, ",")
}

func (inv *invocation) memberCommand() *cobra.Command {
	var project string
	return group("member", "Members of a project, and its owners",
		ofProject(listing(inv, "list --project PROJECT", "List a project's members", nil, func(*cobra.Command, []string) (string, error) {
			return path("projects", project, "members"), nil
		}, []string{"USER", "KEY", "KIND", "REACHES", "SUSPENDED"}, func(m httpapi.Member) []string {
			return []string{called(m.Principal), m.Principal.Key.String(), m.Principal.Kind, reach(m), yesNo(m.Principal.Suspended)}
		}), &project, true),
		inv.memberAdd(), inv.memberLimit(),
		acting[none](inv, "remove PROJECT USER", "Take somebody out of a project, with all that they were granted in it", arguments(2, 2), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("projects", args[0], "members", args[1])}, nil
		}, nil),
		acting[none](inv, "leave PROJECT", "Leave a project", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("projects", args[0], "membership")}, nil
		}, nil),
		inv.ownerCommand(),
	)
}

func (inv *invocation) memberAdd() *cobra.Command {
	var groups []string
	var set string
	c := &cobra.Command{Use: "add PROJECT USER", Short: "Let somebody into a project, all of it or some groups", Args: arguments(2, 2)}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		body := httpapi.MemberCreate{Principal: args[1], Limited: len(groups) > 0, Groups: groups}
		made, err := fetch[httpapi.Member](c.Context(), api, request{method: http.MethodPost, path: path("projects", args[0], "members"), body: body})
		if err != nil {
			return err
		}
		if made.Warning != "" {
			fmt.Fprintf(inv.Err, "bulkhead: warning: %s\n", tame(made.Warning))
		}
		if set != "" {
			grant := httpapi.GrantCreate{Principal: made.Principal.Key.String(), Asset: string(wire.AssetProject) + ":" + args[0], Set: set}
			if _, err := fetch[httpapi.Grant](c.Context(), api, request{method: http.MethodPost, path: path("grants"), body: grant}); err != nil {
				return err
			}
		}
		return inv.print(made, func() table { return table{rows: memberRows(made)} })
	}
	c.Example = "  bulkhead member add plant-a ann --set operator\n  bulkhead member add plant-a bob --group hall-1 --set installer"
	c.Flags().StringSliceVar(&groups, "group", nil, "limit them to this group; may be repeated")
	c.Flags().StringVar(&set, "set", "", "and grant them on the project: "+strings.Join(wire.Sets, ", "))
	return c
}

func (inv *invocation) memberLimit() *cobra.Command {
	var groups []string
	var none bool
	c := acting(inv, "limit PROJECT USER --group GROUP|--none", "Say anew to which groups a member is limited", arguments(2, 2), func(c *cobra.Command, args []string) (request, error) {
		if none == (len(groups) > 0) {
			return request{}, usage(c, "give --group, or --none for no limit")
		}
		body := httpapi.MemberUpdate{Limited: !none, Groups: groups}
		return request{method: http.MethodPatch, path: path("projects", args[0], "members", args[1]), body: body, ifMatch: "*"}, nil
	}, memberRows)
	c.Flags().StringSliceVar(&groups, "group", nil, "group; may be repeated")
	c.Flags().BoolVar(&none, "none", false, "they reach the whole project")
	return c
}

func transferRows(t httpapi.Transfer) [][]string {
	return [][]string{{"offer", t.Key.String()}, {"project", t.Project}, {"from", called(t.From)}, {"to", called(t.To)}, {"until", when(t.ExpiresAt)}}
}

func (inv *invocation) ownerCommand() *cobra.Command {
	var keep bool
	var project string
	offer := acting(inv, "offer PROJECT USER", "Offer a project to a new owner, who has it on accepting", arguments(2, 2), func(_ *cobra.Command, args []string) (request, error) {
		body := httpapi.TransferCreate{To: args[1], Keep: keep}
		return request{method: http.MethodPost, path: path("projects", args[0], "transfers"), body: body}, nil
	}, transferRows)
	offer.Flags().BoolVar(&keep, "keep", false, "stay an owner too")
	return group("owner", "Owners of a project",
		ofProject(listing(inv, "list --project PROJECT", "List who owns a project", nil, func(*cobra.Command, []string) (string, error) {
			return path("projects", project, "owners"), nil
		}, []string{"USER", "KEY", "SINCE"}, func(o httpapi.Owner) []string {
			return []string{called(o.Principal), o.Principal.Key.String(), when(o.Since)}
		}), &project, true),
		offer,
		listing(inv, "offers", "List the projects that you are offered", arguments(0, 0), at("transfers"), []string{"OFFER", "PROJECT", "FROM", "UNTIL"}, func(t httpapi.Transfer) []string {
			return []string{t.Key.String(), t.Project, called(t.From), when(t.ExpiresAt)}
		}),
		acting(inv, "accept OFFER", "Become the owner of a project that you are offered", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodPost, path: path("transfers", args[0], "accept")}, nil
		}, transferRows),
		acting[none](inv, "decline OFFER", "Refuse a project that you are offered", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("transfers", args[0])}, nil
		}, nil),
		acting[none](inv, "remove PROJECT USER", "End an ownership; the last owner cannot leave", arguments(2, 2), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("projects", args[0], "owners", args[1])}, nil
		}, nil),
	)
}
