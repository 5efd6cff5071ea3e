package cast_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"bulkhead/internal/cast"
)

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	head := cast.Header{Version: 2, Width: 80, Height: 24, Timestamp: 1700000000, Command: "echo \"\x1b[31m\"", Env: map[string]string{"TERM": "xterm"}}
	line, err := cast.AppendHeader(nil, head)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cast.ParseHeader(line); err != nil || !reflect.DeepEqual(got, head) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, e := range []cast.Event{
		{At: 0, Code: cast.Output, Data: "a\r\n\x1b[1mb\u009b2J \"c\" \\ \U0001f600 \U000e0001"},
		{At: 1500 * time.Millisecond, Code: cast.Resize, Data: "100x30"},
		{At: 30 * time.Hour, Code: cast.Input, Data: ""},
	} {
		line := cast.AppendEvent(nil, e)
		if strings.ContainsFunc(strings.TrimSuffix(string(line), "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("a terminal obeys %q", line)
		}
		if got, err := cast.ParseEvent(line); got != e || err != nil {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, bad := range []string{"", "{}", `[1,"o"]`, `["1","o","x"]`, `[-1,"o","x"]`, `[1e300,"o","x"]`, `[1,"o",5]`, `[1,"o","x","y"]`} {
		if e, err := cast.ParseEvent([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, e)
		}
	}
	if _, err := cast.ParseHeader([]byte(`{"version":1,"width":80,"height":24}`)); err == nil {
		t.Error("version 1 is taken")
	}
}

func TestACharacterInTwoPartsStaysOne(t *testing.T) {
	t.Parallel()
	const whole = "grün \u20ac \U0001f600 end"
	for cut := range len(whole) {
		var s cast.Splitter
		if got := s.Text([]byte(whole[:cut])) + s.Text([]byte(whole[cut:])) + s.Rest(); got != whole {
			t.Errorf("cut at %d: %q", cut, got)
		}
	}
	var s cast.Splitter
	var got string
	for _, b := range []byte(whole) {
		got += s.Text([]byte{b})
	}
	if got != whole || s.Rest() != "" {
		t.Errorf("by bytes: %q", got)
	}
	if got := s.Text([]byte("x\xff\xe2\x82")); got != "x\xff" || s.Rest() != "\xe2\x82" {
		t.Errorf("%q", got)
	}
	if line := cast.AppendEvent(nil, cast.Event{Code: cast.Output, Data: "\xff"}); !strings.Contains(string(line), "\ufffd") {
		t.Errorf("%q", line)
	}
}

func TestAScreenDrawsAndDoesNothingElse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\r\n\tx\b\a":                      "plain\r\n\tx\b\a",
		"\x1b[1;31mred\x1b[0m\x1b[2J\x1b[10;5H": "\x1b[1;31mred\x1b[0m\x1b[2J\x1b[10;5H",
		"\x1b[?1049h\x1b[?25l\x1b(0q\x1b(B":     "\x1b[?1049h\x1b[?25l\x1b(0q\x1b(B",
		"\u009b31mx":                            "\x1b[31mx",
		"a\x1b]0;title\x07b":                    "ab",
		"a\x1b]52;c;aGk=\x1b\\b":                "ab",
		"a\x1bPq#0;2\x1b\\b":                    "ab",
		"a\x1b_command\u009cb":                  "ab",
		"a\u009d0;title\x07b":                   "ab",
		"a\x1b[6nb\x1b[cc\x1b[>cd":              "abcd",
		"a\x1b[21tb\x1b[5ic\x1b[>q":             "abc",
		"a\x1b[?1000hb\x1b[?2004hc":             "abc",
		"a\x1b[?25;1000hb":                      "ab",
		"a\x1b[!pb\x1b[?1$pc":                   "abc",
		"a\x1bcb\x1bZc":                         "abc",
		"\x05\x00\x7fa\u0085":                   "a",
		"a\x1b[31\x18b":                         "ab",
	} {
		var s cast.Screen
		if got := s.Draw(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		var parts cast.Screen
		var got string
		for _, r := range in {
			got += parts.Draw(string(r))
		}
		if got != want {
			t.Errorf("%q in parts: %q, want %q", in, got, want)
		}
	}
}

func TestPlainTextIsWhatOneReadLineByLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"$ ls\r\na  b\r\n":               "$ ls\na  b\n",
		"\x1b[1m\x1b]0;t\x07bold\x1b[0m": "bold\n",
		"10%\r20%\r100%\r\n":             "100%\n",
		"passwr\bord":                    "password\n",
		"long line\rshort\x1b[K\n":       "short\n",
		"a\tb\n":                         "a       b\n",
		"abc\x1b[2K\rd":                  "d\n",
		"abc\b\x1b[1Kx":                  "  x\n",
		"":                               "",
		"x\u009b31my\u0007":              "xy\n",
		strings.Repeat("x", 20000):       strings.Repeat("x", 16384) + "\n" + strings.Repeat("x", 3616) + "\n",
		"ab\x1b[D\x1b[DX\x1b[C!\x1b[Gy":  "yb!\n",
		"grün \U0001f600":                "grün \U0001f600\n",
	} {
		var out bytes.Buffer
		p := cast.NewPlain(&out)
		if err := p.Show(in); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil || out.String() != want {
			t.Errorf("%.40q: %.40q, %v", in, out.String(), err)
		}
	}
}

func FuzzShow(f *testing.F) {
	f.Add("a\x1b[31mb\x1b]0;x\x07c\u009b2J\r\n\t")
	f.Add("\x1bPq\x1b\x1b[\x1b]\x18\x1a\u0090")
	f.Fuzz(func(t *testing.T, in string) {
		var s cast.Screen
		drawn := s.Draw(in)
		var again cast.Screen
		if twice := again.Draw(drawn); twice != drawn {
			t.Errorf("%q is drawn as %q, and that as %q", in, drawn, twice)
		}
		var out bytes.Buffer
		p := cast.NewPlain(&out)
		_ = p.Show(in)
		_ = p.Close()
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%q leaves %q", in, r)
			}
		}
		if line := cast.AppendEvent(nil, cast.Event{Code: cast.Output, Data: in}); bytes.Count(line, []byte("\n")) != 1 {
			t.Errorf("%q is written as %q", in, line)
		} else if _, err := cast.ParseEvent(line); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":2,"width":80,"height":24}`))
	f.Add([]byte(`[1.5, "o", "x"]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, _ = cast.ParseHeader(line)
		if e, err := cast.ParseEvent(line); err == nil && e.At < 0 {
			t.Errorf("%q: %+v", line, e)
		}
	})
}
