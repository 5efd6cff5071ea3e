package cli

import (
	"bytes"
	"strings"
	"testing"

	"bulkhead/wire"
)

func TestAResultInPartsIsPutTogetherInOrderOfTime(t *testing.T) {
	t.Parallel()
	c := chunks{}
	row := func(n uint64) any { return map[string]any{"tsp": n} }
	c.add([]any{uint64(1), []any{row(2), row(1)}})
	c.add([]any{uint64(0), []any{row(4), row(3)}})
	rows, err := c.rows([]any{map[string]any{"chunked": true, "chunkCount": uint64(2), "totalRows": uint64(4), "order": "asc"}})
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v, %v", rows, err)
	}
	for i, r := range rows {
		if r["tsp"] != uint64(i+1) {
			t.Errorf("row %d is %v", i, r)
		}
	}
	if _, err := c.rows([]any{map[string]any{"chunkCount": uint64(3)}}); err == nil {
		t.Error("a missing part was not noticed")
	}
}

func TestATableShowsTimesAndNoControlCharacters(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	rows := []wire.Row{{"tsp": uint64(1700000000000), "device_key": uint64(3), "authid": "s", "name": "a\x1b[31mb", "temperature": 20.5, "on": true, "none": nil}}
	if err := rowTable(rows).write(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("an escape sequence reached the terminal: %q", out.String())
	}
	for _, want := range []string{"tsp", "device_key", "20.5", "true", ".000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "authid") {
		t.Error("the serial of every row makes the table unreadable")
	}
}

func TestArgumentsAreJSONOrText(t *testing.T) {
	t.Parallel()
	got := parseArguments([]string{"5", "9007199254740993", "2.5", `"5"`, "five", `{"a":[1]}`, "true", "null", "", "1 2"})
	want := []any{int64(5), int64(9007199254740993), 2.5, "5", "five", nil, true, nil, "", "1 2"}
	for i := range want {
		if i == 5 {
			continue
		}
		if got[i] != want[i] {
			t.Errorf("argument %d: %#v, want %#v", i, got[i], want[i])
		}
	}
	if m, ok := got[5].(map[string]any); !ok || len(m) != 1 {
		t.Errorf("got %#v", got[5])
	}
}
