package cli

import (
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
)

// Whoami is what the server says, and which server it is.
type Whoami struct {
	httpapi.Whoami
	Server string `json:"server"`
}

func (inv *invocation) whoamiCommand() *cobra.Command {
	c := &cobra.Command{Use: "whoami", Short: "Say who you are to the server, and until when", Args: arguments(0, 0)}
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		me, err := fetch[httpapi.Whoami](c.Context(), api, request{method: http.MethodGet, path: path("whoami")})
		if err != nil {
			return err
		}
		return inv.print(Whoami{me, api.context.Server}, func() table { return table{rows: whoamiRows(me, api.context.Server, time.Now())} })
	}
	return c
}

func whoamiRows(w httpapi.Whoami, server string, now time.Time) [][]string {
	rows := [][]string{{"name", w.Name}, {"kind", strings.ReplaceAll(w.Kind, "_", " ")}, {"id", w.ID}, {"owner", yesNo(w.Owner)}, {"by", by(w)}, {"level", w.Level}}
	if !w.FactorAt.IsZero() {
		rows = append(rows, []string{"second factor", age(now.Sub(w.FactorAt)) + " ago"})
	}
	if len(w.Scopes) > 0 {
		scopes := make([]string, len(w.Scopes))
		for i, s := range w.Scopes {
			scopes[i] = string(s)
		}
		rows = append(rows, []string{"scopes", strings.Join(scopes, " ")})
	}
	return append(rows, []string{"until", when(w.Until)}, []string{"server", server})
}

func by(w httpapi.Whoami) string {
	if w.Proof == "apikey" {
		return "API key " + w.Login
	}
	return "login " + w.Login
}

// age is a time that has passed, as people say it.
func age(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
}
