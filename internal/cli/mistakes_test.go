package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoMakesAMistakeIsToldWhatToType(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	d.fake.Config.Handler.(*http.ServeMux).HandleFunc("GET /api/v1/devices/{device}", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "not_found")
	})
	gone := Context{Server: d.fake.URL, CAFile: filepath.Join(d.contexts.Dir, "gone", "ca.pem"), Seen: filepath.Join(d.contexts.Dir, "gone", seenFolder)}
	if err := d.contexts.Put("gone", gone); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(d.contexts.Dir, "key")
	if err := os.WriteFile(key, []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	for _, c := range []struct {
		code    int
		says    string
		mistake []string
	}{
		{2, `bulkhead has no command "devices"; is it: bulkhead device`, []string{"devices", "list"}},
		{2, `bulkhead audit has no command "verfy"; is it: bulkhead audit verify`, []string{"audit", "verfy"}},
		{2, "bulkhead has no command \"zzzzzz\"\nTry:", []string{"zzzzzz"}},
		{3, "there is no device \"plant-a/pres\" that you may see\n  type: bulkhead device list plant-a", []string{"device", "show", "plant-a/pres"}},
		{3, "because of not_found", []string{"device", "show", "17"}},
		{6, "is not known by the authorities of this system: give the one that it shows itself by with --ca-file FILE", []string{"whoami", "--server", d.fake.URL, "--api-key-file", key}},
		{4, "type: bulkhead login --step-up", []string{"project", "list"}},
		{2, "because: open nofile", []string{"serve", "-c", "nofile"}},
		{2, "the state directory of bulkhead dev is gone; to make it again, type: bulkhead dev --dir", []string{"whoami", "--context", "gone"}},
	} {
		if code, said := d.run(nobody, c.mistake...); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%s: %d %s", strings.Join(c.mistake, " "), code, said)
		}
	}
}
