package report

import (
	_ "embed"
	"io"
	"strings"
	"text/template"
)

//go:embed performance.md.tmpl
var pageText string

var page = template.Must(template.New("performance").Funcs(template.FuncMap{
	"row": func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |" },
	"rule": func(cells []string) string {
		return "| --- |" + strings.Repeat(" ---: |", max(0, len(cells)-1))
	},
	"columns": func(m Measure) map[string]any {
		head, rows := m.columns()
		return map[string]any{"Head": head, "Rows": rows}
	},
	"figure":  func(c Check) string { return c.figure(c.Value) },
	"limit":   func(c Check) string { return c.figure(c.Limit) },
	"outcome": outcome,
}).Parse(pageText))

func outcome(c Check) string {
	switch {
	case !c.Measured:
		return "not measured"
	case c.Met():
		return "met"
	default:
		return "**missed**"
	}
}

// Page writes the report as docs/performance.md.
func (r *Report) Page(w io.Writer) error { return page.Execute(w, r) }
