package cli

import (
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
)

func quotaText(s httpapi.ProjectStorage) string {
	text := size(s.QuotaBytes)
	if s.QuotaBytes == 0 {
		text = "none"
	}
	if s.Default {
		text += " (default)"
	}
	return text
}

func shareText(s httpapi.ProjectStorage) string {
	if s.QuotaBytes == 0 {
		return ""
	}
	return strconv.FormatFloat(100*float64(s.UsedBytes)/float64(s.QuotaBytes), 'f', 1, 64) + " %"
}

func storageRows(s httpapi.ProjectStorage) [][]string {
	rows := [][]string{
		{"project", s.Project}, {"quota", quotaText(s)}, {"used", size(s.UsedBytes)}, {"share", shareText(s)}, {"level", s.Level},
		{"tables", size(s.TableBytes)}, {"on disk", size(s.DiskBytes)}, {"since", size(s.SinceBytes)}, {"measured", when(s.MeasuredAt)},
	}
	if s.OverBytes > 0 {
		rows = append(rows, []string{"warning", "all quotas together are " + size(s.OverBytes) + " more than the disk can hold"})
	}
	return rows
}

func (inv *invocation) quotaCommand() *cobra.Command {
	return group("quota", "How much projects store, and how much they may",
		listing(inv, "list", "List what every project stores", arguments(0, 0), at("storage"), []string{"PROJECT", "USED", "QUOTA", "SHARE", "LEVEL"}, func(s httpapi.ProjectStorage) []string {
			return []string{s.Project, size(s.UsedBytes), quotaText(s), shareText(s), s.Level}
		}),
		acting(inv, "show PROJECT", "Show what a project stores", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodGet, path: path("projects", args[0], "storage")}, nil
		}, storageRows),
		inv.quotaSet(),
	)
}

func (inv *invocation) quotaSet() *cobra.Command {
	c := acting(inv, "set PROJECT SIZE|none|default", "Say how much a project may store", arguments(2, 2), func(c *cobra.Command, args []string) (request, error) {
		var body httpapi.StorageQuota
		switch args[1] {
		case "default":
		case "none":
			body.QuotaBytes = new(int64)
		default:
			bytes, err := parseSize(args[1])
			if err != nil {
				return request{}, usage(c, "%v, none or default", err)
			}
			body.QuotaBytes = &bytes
		}
		return request{method: http.MethodPut, path: path("projects", args[0], "storage"), body: body}, nil
	}, storageRows)
	c.Example = "  bulkhead project quota set plant-a 50GiB"
	return c
}
