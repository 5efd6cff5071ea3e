package tunnel

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var tryPage = regexp.MustCompile(`bulkhead tunnel open (\S+) --to (http://\S+)`)

// A newcomer types what `bulkhead dev` says, opens the link, and sees a page whose clock goes on.
func TestANewcomerOpensTheSamplePageAsTheGreetingSays(t *testing.T) {
	t.Parallel()
	said, err := os.ReadFile(filepath.Join(shared.root, "dev.log"))
	if err != nil {
		t.Fatal(err)
	}
	found := tryPage.FindAllStringSubmatch(string(said), -1)
	if len(found) == 0 {
		t.Fatalf("nothing says how:\n%s", said)
	}
	s := openSite(t, nil, found[len(found)-1][1], found[len(found)-1][2])
	c := enter(t, s)
	if status, _, text := get(t, c, s.URL+"/"); status != http.StatusOK || !strings.Contains(text, strings.TrimPrefix(s.URL, "https://")) {
		t.Errorf("%d, %s", status, text)
	}
	clock, err := c.Get(s.URL + "/clock")
	if err != nil {
		t.Fatal(err)
	}
	defer clock.Body.Close()
	for ticks, lines := 0, bufio.NewScanner(clock.Body); ticks < 2 && lines.Scan(); {
		if regexp.MustCompile(`^data: \d\d:\d\d:\d\d$`).MatchString(lines.Text()) {
			ticks++
		} else if lines.Text() != "" {
			t.Fatalf("the clock says %q", lines.Text())
		}
	}
}
