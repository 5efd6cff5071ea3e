package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"gopkg.in/yaml.v3"
)

// table is the form of an output for people.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes value as JSON or YAML, or the table made of it.
func (inv *invocation) print(value any, asTable func() table) error {
	switch inv.output {
	case "json":
		return writeJSON(inv.Out, value)
	case "yaml":
		return writeYAML(inv.Out, value)
	default:
		return asTable().write(inv.Out)
	}
}

func (t table) write(w io.Writer) error {
	tabs := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if len(t.head) > 0 {
		fmt.Fprintln(tabs, strings.Join(t.head, "\t"))
	}
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(tabs, strings.Join(cells, "\t"))
	}
	return tabs.Flush()
}

// printable keeps a name that somebody else chose from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeYAML goes through JSON, so that YAML has the same members.
func writeYAML(w io.Writer, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(numbers(plain)); err != nil {
		return err
	}
	return encoder.Close()
}

// numbers gives JSON numbers back their kind, which YAML would otherwise write as texts.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
