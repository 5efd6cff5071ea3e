package cli

import (
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func (inv *invocation) realmCommand() *cobra.Command {
	return group("realm", "Realms, named by themselves or as PROJECT/APP@STAGE",
		listing(inv, "list", "List the realms that exist", arguments(0, 0), at("realms"), []string{"REALM", "KIND", "PROJECT", "APP", "STAGE"}, func(r httpapi.Realm) []string {
			return []string{r.Realm, r.Kind, r.Project, r.App, string(r.Stage)}
		}),
		acting(inv, "show REALM", "Show a realm", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodGet, path: path("realms", args[0])}, nil
		}, func(r httpapi.Realm) [][]string {
			return [][]string{{"realm", r.Realm}, {"kind", r.Kind}, {"project", r.Project}, {"app", r.App}, {"stage", string(r.Stage)}}
		}),
		inv.serviceCommand(),
	)
}

func (inv *invocation) serviceCommand() *cobra.Command {
	return group("service", "Programs of yours that may do anything in one realm",
		listing(inv, "list REALM", "List a realm's services", arguments(1, 1), func(_ *cobra.Command, args []string) (string, error) {
			return path("realms", args[0], "services"), nil
		}, []string{"NAME", "AUTHID", "CREATED"}, func(s httpapi.Service) []string { return []string{s.Name, s.AuthID, when(s.CreatedAt)} }),
		acting(inv, "create REALM NAME", "Create a service and print its secret, once", arguments(2, 2), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodPost, path: path("realms", args[0], "services"), body: httpapi.ServiceCreate{Name: args[1]}}, nil
		}, func(s httpapi.ServiceSecret) [][]string {
			return [][]string{{"realm", s.Service.Realm}, {"authid", s.Service.AuthID}, {"secret", s.Secret}}
		}),
		acting[none](inv, "delete REALM NAME", "Delete a service and end its sessions", arguments(2, 2), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("realms", args[0], "services", args[1])}, nil
		}, nil),
	)
}

func (inv *invocation) sessionCommand() *cobra.Command {
	return group("session", "WAMP sessions",
		listing(inv, "list REALM", "List the sessions of a realm", arguments(1, 1), func(_ *cobra.Command, args []string) (string, error) {
			return path("realms", args[0], "sessions"), nil
		}, []string{"SESSION", "AUTHID", "ROLE", "ADDRESS", "JOINED"}, func(s httpapi.Session) []string {
			return []string{text(s.Session), s.AuthID, s.Role, s.Addr, when(s.JoinedAt)}
		}),
		acting[none](inv, "kill REALM SESSION", "End a session", arguments(2, 2), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("realms", args[0], "sessions", args[1])}, nil
		}, nil),
	)
}

func (inv *invocation) dbCommand() *cobra.Command {
	return group("db", "Data backends and what they are reached by", inv.dbExport(), inv.dbProbe(), inv.dbCredentials())
}

func (inv *invocation) dbExport() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "export REALM TABLE", Short: "Write all rows of a table to standard output", Args: arguments(2, 2),
		Example: "  bulkhead db export plant-a/host-metrics@prod metrics --format csv > metrics.csv"}
	c.Flags().StringVar(&format, "format", "csv", "csv; Parquet comes later")
	c.RunE = func(c *cobra.Command, args []string) error {
		if format != "csv" {
			return usage(c, "--format %s: want csv", format)
		}
		api, err := inv.client()
		if err != nil {
			return err
		}
		response, err := api.do(c.Context(), request{
			method: http.MethodGet, path: path("realms", args[0], "tables", args[1], "export"), query: map[string][]string{"format": {format}},
		})
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(inv.Out, response.Body); err != nil {
			return errs.As(wire.Unavailable, err, "the export broke off: what was written is not whole")
		}
		return nil
	}
	return c
}

func (inv *invocation) dbCredentials() *cobra.Command {
	return acting(inv, "credentials REALM", "Reveal a database login of an installation", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
		return request{method: http.MethodGet, path: path("realms", args[0], "database-credentials")}, nil
	}, func(d httpapi.DatabaseCredential) [][]string {
		return [][]string{
			{"host", d.Host}, {"port", text(d.Port)}, {"database", d.Database}, {"schema", d.Schema}, {"user", d.User}, {"password", d.Password},
		}
	})
}
