package pages_test

import (
	"net/http"
	"testing"
)

func TestAFormOfWhoTriesInVainAgainAndAgainIsNotRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.people.vain = true
	b := s.browser()
	r := b.form("/login", "name", "olga", "password", rightPassword)
	r.Header.Set("Content-Type", "text/plain") // no form, which who reads it says
	b.want(b.do(r), http.StatusTooManyRequests, "wait 5 seconds")
	s.people.vain = false
	b.want(b.do(b.form("/login", "name", "olga", "password", rightPassword)), http.StatusSeeOther, "/login/second-factor")
}
