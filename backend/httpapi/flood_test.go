package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bulkhead/backend/audit"
)

// What is read and is no JSON is answered with 400, whoever sends it.
func TestAFloodOfWrongPasswordsIsRefusedUnreadAndToldAFewTimes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	stranger := func(r *http.Request) { r.Header.Del("Authorization") }
	for i := range 5 {
		s.refused(401, "unauthenticated", "POST", "/login", fmt.Sprintf(`{"name":"user-%d","password":"a wrong password"}`, i), stranger)
	}
	s.notes.take()
	const more = 40
	for range more {
		s.refused(429, "exhausted", "POST", "/login", "no JSON", stranger)
	}
	told := s.notes.take()
	if len(told) != more || told[0].Action != audit.LoginRefuse || told[0].Actor.Address == "" {
		t.Errorf("%d are counted: %+v", len(told), told[:min(1, len(told))])
	}
	if n := strings.Count(s.log.String(), `"level":"WARN"`); n != 5 {
		t.Errorf("the log tells of %d", n)
	}
	s.refused(401, "unauthenticated", "GET", "/whoami", nil, stranger) // what is not a login is no guess
}
