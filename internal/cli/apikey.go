package cli

import (
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

func (inv *invocation) apikeyCommand() *cobra.Command {
	return group("apikey", "API keys: what programs log in with",
		listing(inv, "list", "List API keys, also those that have ended", arguments(0, 0), at("apikeys"),
			[]string{"ID", "NAME", "HOLDER", "SCOPES", "EXPIRES", "LAST USED", "REVOKED"}, func(k httpapi.APIKey) []string {
				return []string{k.ID, k.Name, k.Holder, flags(k.Scopes), when(k.ExpiresAt), when(k.LastUsedAt), when(k.RevokedAt)}
			}),
		inv.apikeyCreate(),
		acting[none](inv, "revoke ID", "Revoke an API key, and end what it has open", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("apikeys", args[0])}, nil
		}, nil),
	)
}

func (inv *invocation) apikeyCreate() *cobra.Command {
	var scopes []string
	var expires time.Duration
	var account string
	c := acting(inv, "create NAME", "Create an API key and print it, once", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		if expires < time.Minute || expires > 365*24*time.Hour {
			return request{}, usage(c, "--expires %s: want 1m to 8760h", expires)
		}
		body := httpapi.APIKeyCreate{Name: args[0], ServiceAccount: account, ExpiresInSeconds: int64(expires / time.Second)}
		for _, scope := range scopes {
			body.Scopes = append(body.Scopes, wire.Flag(scope))
		}
		return request{method: http.MethodPost, path: path("apikeys"), body: body}, nil
	}, func(k httpapi.APIKeySecret) [][]string {
		return [][]string{{"id", k.APIKey.ID}, {"key", k.Key}, {"holder", k.APIKey.Holder}, {"scopes", flags(k.APIKey.Scopes)}, {"expires", when(k.APIKey.ExpiresAt)}}
	})
	c.Example = "  bulkhead apikey create ci --scope project.read --scope device.read --expires 720h"
	c.Flags().StringSliceVar(&scopes, "scope", nil, "privilege that it may use, such as device.read; may be repeated; without it, all that its holder has")
	c.Flags().DurationVar(&expires, "expires", 90*24*time.Hour, "when it ends, at most a year")
	c.Flags().DurationVar(&expires, "expires-in", 90*24*time.Hour, "older name of --expires")
	c.Flags().StringVar(&account, "service-account", "", "service account that holds it; without it, you")
	_ = c.Flags().MarkHidden("expires-in") // it exists
	return c
}

func flags(list []wire.Flag) string {
	words := make([]string, len(list))
	for i, f := range list {
		words[i] = string(f)
	}
	return strings.Join(words, " ")
}
