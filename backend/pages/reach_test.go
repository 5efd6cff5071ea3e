package pages_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bulkhead/wire"
)

// wayIn are the pages that are open to who has not shown both factors; all others must not be.
var wayIn = []string{
	"GET /login", "POST /login", "GET /login/oidc/{provider}", "GET /login/oidc/{provider}/callback", "GET /login/second-factor", "POST /login/second-factor",
	"GET /login/recovery", "POST /login/recovery", "GET /login/enrolment", "POST /login/enrolment", "POST /login/enrolment/confirm", "GET /logout", "POST /logout",
}

var routed = regexp.MustCompile(`"(GET|POST) ([^"]*)"(\+wire\.TunnelPathLogin)?`)

// routes reads from the source which pages there are, so that none is missed.
func routes(t *testing.T) (list []string) {
	t.Helper()
	source, err := os.ReadFile("pages.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range routed.FindAllStringSubmatch(string(source), -1) {
		path := found[2]
		if found[3] != "" {
			path = wire.TunnelPathLogin
		}
		if pattern := found[1] + " " + path; path != "" && !slices.Contains(list, pattern) {
			list = append(list, pattern)
		}
	}
	return list
}

func TestNoPageButTheWayInIsOpenToWhoHasNotShownBothFactors(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	half := s.browser()
	half.post("/login", "name", "olga", "password", rightPassword)
	fill, asked := strings.NewReplacer("{$}", "", "{project}", "plant-a", "{device}", "press-1", "{id}", "T1"), 0
	for _, pattern := range routes(t) {
		if slices.Contains(wayIn, pattern) {
			continue
		}
		asked++
		method, path, _ := strings.Cut(fill.Replace(pattern), " ")
		for who, b := range map[string]*browser{"/login": s.browser(), "/login/second-factor": half} {
			var a answer
			if method == http.MethodPost {
				a = b.post(path)
			} else {
				a = b.get(path)
			}
			if to, _, _ := strings.Cut(a.location(), "?"); a.status != http.StatusSeeOther || to != who {
				t.Errorf("%s: %d to %q, want %s", pattern, a.status, a.location(), who)
			}
		}
	}
	if asked < 14 || len(s.shells.asked) > 0 {
		t.Errorf("%d pages were asked for, and %v of devices", asked, s.shells.asked)
	}
}
