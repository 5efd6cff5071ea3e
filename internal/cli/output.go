package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"
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

// asItIs refuses the forms of a result where a command gives out what a device says, as it comes.
func (inv *invocation) asItIs(c *cobra.Command) error {
	if inv.output == "table" {
		return nil
	}
	return usage(c, "-o %s: %s gives out what the device says as it is", inv.output, c.CommandPath())
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

// tame is printable for a text of several lines.
func tame(s string) string {
	return strings.Join(mapped(strings.Split(s, "\n"), printable), "\n")
}

func mapped(list []string, by func(string) string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = by(s)
	}
	return out
}

func writeJSON(w io.Writer, value any) error { return encodeJSON(w, value, "  ") }

// encodeJSON writes a value and the end of the line. What encoding/json leaves as it is and a terminal may obey, such as
// U+009B, which begins a control sequence, is escaped.
func encodeJSON(w io.Writer, value any, indent string) error {
	var encoded, out strings.Builder
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	for _, r := range encoded.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		default: // it is within a text: all else of JSON is ASCII that prints
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
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
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(numbers(plain)), encoder.Close()); err != nil {
		return err
	}
	_, err = io.WriteString(w, tame(out.String())) // the encoder escapes most of what a terminal may obey, but not all
	return err
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
