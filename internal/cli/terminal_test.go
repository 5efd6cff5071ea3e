package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// hostile has what steers terminals: CSI in both forms, OSC, a reversal of the writing direction, and DEL.
const hostile = "a\x1b[2J\u009b31m\x1b]0;owned\a\u202eb\x7f\r\U000e0041é"

func TestWhatOthersWroteDoesNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(inv *invocation) error{
		"json": func(inv *invocation) error { return writeJSON(inv.Out, map[string]any{hostile: hostile}) },
		"line": func(inv *invocation) error { return inv.printLine(event{Topic: "x", Args: []any{hostile}}) },
		"yaml": func(inv *invocation) error { return writeYAML(inv.Out, map[string]any{hostile: hostile}) },
		"table": func(inv *invocation) error {
			return table{rows: [][]string{{hostile}}}.write(inv.Out)
		},
		"refusal": func(inv *invocation) error {
			remote := &errs.Error{Kind: wire.Unavailable, User: hostile, Err: errors.New(hostile)}
			inv.fail(t.Context(), explain(remote, "com.example.x"))
			return nil
		},
		"fault": func(inv *invocation) error {
			inv.fail(t.Context(), errors.New(hostile))
			return nil
		},
	} {
		var out bytes.Buffer
		if err := write(&invocation{Streams: Streams{Out: &out, Err: &out}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if bad := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); bad >= 0 || out.Len() == 0 {
			t.Errorf("%s: %q", name, out.String())
		}
		if !strings.Contains(out.String(), "é") {
			t.Errorf("%s: what prints is not printed: %q", name, out.String())
		}
	}
}

func TestJSONThatWasMadeHarmlessMeansTheSame(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var back []string
	if err := writeJSON(&out, []string{hostile, "<&>"}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back[0] != hostile || !strings.Contains(out.String(), "<&>") {
		t.Errorf("%q: %v, %v", out.String(), back, err)
	}
}
