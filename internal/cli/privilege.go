package cli

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func (inv *invocation) privilegeCommand() *cobra.Command {
	return group("privilege", "Privileges: who may do what to which asset",
		inv.privilegeCatalogue(), inv.privilegeList(), inv.privilegeGrant(), inv.privilegeRevoke(), inv.privilegeExplain(),
		inv.privilegeDefaults(),
	)
}

func (inv *invocation) privilegeCatalogue() *cobra.Command {
	return acting(inv, "catalogue", "Show every privilege, and the sets that have it", arguments(0, 0), func(*cobra.Command, []string) (request, error) {
		return request{method: http.MethodGet, path: path("privileges")}, nil
	}, func(c httpapi.Catalogue) [][]string {
		rows := [][]string{{"PRIVILEGE", "SETS", "MAY"}}
		for _, p := range c.Privileges {
			var sets []string
			for _, s := range c.Sets {
				if slices.Contains(s.Flags, p.Flag) {
					sets = append(sets, s.Name)
				}
			}
			rows = append(rows, []string{string(p.Flag), strings.Join(sets, ","), p.May})
		}
		return rows
	})
}

func (inv *invocation) privilegeList() *cobra.Command {
	var project, who string
	c := &cobra.Command{Use: "list --project PROJECT", Short: "List what was granted in a project, as far as you may know of it"}
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		all, err := fetchAll[httpapi.Grant](c.Context(), api, path("projects", project, "grants"))
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(g httpapi.Grant) bool { return who != "" && !is(g.Principal, who) })
		return inv.print(all, func() table {
			t := table{head: []string{"GRANT", "USER", "ASSET", "PRIVILEGES", "FROM", "UNTIL", "GIVEN BY"}}
			for _, g := range all {
				t.add(g.Key.String(), called(g.Principal), assetText(g.Asset), flagText(g.Flags), when(g.From), when(g.Until), called(g.GivenBy))
			}
			return t
		})
	}
	c.Flags().StringVar(&who, "user", "", "only what was granted to this user or service account")
	return ofProject(c, &project, true)
}

// is reports whether people call somebody so.
func is(p httpapi.Person, text string) bool {
	return p.Name == text || p.Login == text || p.Key.String() == text
}

// called is how one types somebody.
func called(p httpapi.Person) string {
	switch {
	case p.Login != "":
		return p.Login
	case p.Name != "":
		return p.Name
	default:
		return p.Key.String()
	}
}

func assetText(a httpapi.AssetRef) string { return string(a.Kind) + ":" + a.Name }

func flagText(flags []wire.Flag) string {
	words := make([]string, len(flags))
	for i, f := range flags {
		words[i] = string(f)
	}
	return strings.Join(words, ",")
}

// readFlags reads FLAG,FLAG or the name of a set.
func readFlags(text string) (flags []wire.Flag, set string, err error) {
	if slices.Contains(wire.Sets, text) {
		return nil, text, nil
	}
	for _, word := range strings.Split(text, ",") {
		f := wire.Flag(word)
		if !f.Known() {
			return nil, "", errs.E(wire.Invalid, "%q is neither a privilege nor a set; see: bulkhead privilege catalogue", word)
		}
		flags = append(flags, f)
	}
	return flags, "", nil
}

// readAsset reads KIND:REF, or what people write in its place: a project by its name, the data of an installation by
// PROJECT/APP@STAGE, and PROJECT/NAME for what the flag is about.
func readAsset(text string, flags []wire.Flag) string {
	kind, _, ok := strings.Cut(text, ":")
	if ok && !strings.ContainsAny(kind, "/@") {
		return text
	}
	about := wire.AssetDevice
	if len(flags) > 0 {
		about = flags[0].Kind()
	}
	switch {
	case strings.Contains(text, "@"):
		return string(wire.AssetDataBackend) + ":" + text
	case strings.Contains(text, "/") && about == wire.AssetGroup:
		return string(wire.AssetGroup) + ":" + text
	case strings.Contains(text, "/"):
		return string(wire.AssetDevice) + ":" + text
	case about == wire.AssetApp:
		return string(wire.AssetApp) + ":" + text
	default:
		return string(wire.AssetProject) + ":" + text
	}
}

// grantTime reads a time as people write one: RFC 3339, or a duration from now.
func grantTime(c *cobra.Command, flag, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no time is a time that is not given
	}
	if d, err := time.ParseDuration(text); err == nil {
		at := time.Now().Add(d)
		return &at, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usage(c, "--%s %s: want a time like 2026-11-30T18:00:00Z, or a duration from now like 8h", flag, text)
	}
	return &at, nil
}

const assetHelp = "  An ASSET is a PROJECT, PROJECT/DEVICE, PROJECT/APP@STAGE, group:PROJECT/GROUP or app:APP.\n"

func grantRows(g httpapi.Grant) [][]string {
	return [][]string{
		{"grant", g.Key.String()}, {"user", called(g.Principal)}, {"asset", assetText(g.Asset)}, {"privileges", flagText(g.Flags)},
		{"from", when(g.From)}, {"until", when(g.Until)},
	}
}

func (inv *invocation) privilegeGrant() *cobra.Command {
	var from, until string
	c := acting(inv, "grant USER FLAG,FLAG|SET ASSET", "Grant privileges that you hold", arguments(3, 3), func(c *cobra.Command, args []string) (request, error) {
		flags, set, err := readFlags(args[1])
		if err != nil {
			return request{}, err
		}
		body := httpapi.GrantCreate{Principal: args[0], Asset: readAsset(args[2], flags), Flags: flags, Set: set}
		if body.From, err = grantTime(c, "from", from); err != nil {
			return request{}, err
		}
		if body.Until, err = grantTime(c, "until", until); err != nil {
			return request{}, err
		}
		return request{method: http.MethodPost, path: path("grants"), body: body}, nil
	}, grantRows)
	c.Example = "  bulkhead privilege grant ann operator plant-a\n  bulkhead privilege grant ann device.tunnel plant-a/press-1 --until 8h\n" + assetHelp
	c.Flags().StringVar(&from, "from", "", "when it begins: a time, or a duration from now; default: at once")
	c.Flags().StringVar(&until, "until", "", "when it ends: a time, or a duration from now; default: when it is revoked")
	return c
}

func (inv *invocation) privilegeRevoke() *cobra.Command {
	c := acting[none](inv, "revoke USER FLAG,FLAG|SET ASSET | revoke GRANT", "Take back what was granted; what it has opened ends within a second", arguments(1, 3), func(c *cobra.Command, args []string) (request, error) {
		switch len(args) {
		case 1:
			return request{method: http.MethodDelete, path: path("grants", args[0])}, nil
		case 3:
		default:
			return request{}, usage(c, "want: %s", c.UseLine())
		}
		flags, set, err := readFlags(args[1])
		if err != nil {
			return request{}, err
		}
		body := httpapi.GrantRevoke{Principal: args[0], Asset: readAsset(args[2], flags), Flags: flags, Set: set}
		return request{method: http.MethodPost, path: path("grants", "revoke"), body: body}, nil
	}, nil)
	c.Example = "  bulkhead privilege revoke ann device.tunnel plant-a/press-1\n" + assetHelp
	return c
}

func (inv *invocation) privilegeExplain() *cobra.Command {
	c := acting(inv, "explain USER FLAG ASSET", "Tell why somebody may do something, or why not; - in the place of USER is yourself", arguments(3, 3), func(_ *cobra.Command, args []string) (request, error) {
		flags, set, err := readFlags(args[1])
		if err != nil {
			return request{}, err
		}
		if set != "" || len(flags) != 1 {
			return request{}, errs.E(wire.Invalid, "name one privilege; see: bulkhead privilege catalogue")
		}
		query := url.Values{"flag": {string(flags[0])}, "asset": {readAsset(args[2], flags)}}
		if args[0] != "-" {
			query.Set("principal", args[0])
		}
		return request{method: http.MethodGet, path: path("explain"), query: query}, nil
	}, explanationRows)
	c.Example = "  bulkhead privilege explain ann device.tunnel plant-a/press-1\n" + assetHelp
	return c
}

func explanationRows(e httpapi.Explanation) [][]string {
	answer := "no"
	if e.Allowed {
		answer = "yes"
	}
	rows := [][]string{{answer, called(e.Principal) + ", " + string(e.Flag) + ", " + assetText(e.Asset)}}
	for _, r := range e.Reasons {
		text := r.Text
		if g := r.Grant; g != nil {
			text += ": grant " + g.Key.String() + " by " + called(g.GivenBy) + " on " + when(g.GivenAt) + ", on " + assetText(g.Asset)
			if !g.Until.IsZero() {
				text += ", until " + when(g.Until)
			}
		}
		rows = append(rows, []string{map[string]string{"allow": "+", "deny": "-"}[r.Says], text})
	}
	return rows
}

func (inv *invocation) privilegeDefaults() *cobra.Command {
	c := acting(inv, "defaults PROJECT [FLAG,FLAG|SET|none]", "Show or set what each member may do with every asset of a project", arguments(1, 2), func(_ *cobra.Command, args []string) (request, error) {
		if len(args) == 1 {
			return request{method: http.MethodGet, path: path("projects", args[0], "defaults")}, nil
		}
		body := httpapi.Defaults{Flags: []wire.Flag{}}
		if args[1] != "none" {
			flags, set, err := readFlags(args[1])
			if err != nil {
				return request{}, err
			}
			if set != "" {
				flags, _ = wire.Set(set)
			}
			body.Flags = flags
		}
		return request{method: http.MethodPut, path: path("projects", args[0], "defaults"), body: body}, nil
	}, func(d httpapi.Defaults) [][]string { return [][]string{{"privileges", flagText(d.Flags)}} })
	c.Example = "  bulkhead privilege defaults plant-a viewer"
	return c
}
