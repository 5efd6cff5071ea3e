package httpapi_test

import (
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
)

func TestAProviderIsConfiguredOverTheAPI(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("plant-a")
	for _, at := range []struct{ path, issuer, redirect string }{
		{"/providers", "https://company.example", "https://bulkhead.test/login/oidc/company/callback"},
		{"/projects/plant-a/providers", "https://plant.example", "https://bulkhead.test/login/oidc/" + p.Key.String() + "-company/callback"},
	} {
		made := must[httpapi.Provider](s, 201, "POST", at.path, httpapi.ProviderCreate{
			Name: "company", Issuer: at.issuer, ClientID: "b", ClientSecret: "canary-secret", Claims: httpapi.ProviderClaims{Require: map[string]string{"hd": "plant.example"}},
		})
		if made.RedirectURI != at.redirect || !made.HasSecret || made.Title != "company" || made.Claims.Email != "email" || len(made.Algorithms) != 2 {
			t.Errorf("made %+v", made)
		}
		one := at.path + "/company"
		title, off := "The company", true
		changed := must[httpapi.Provider](s, 200, "PATCH", one, httpapi.ProviderUpdate{Title: &title, Suspended: &off, Claims: &httpapi.ProviderClaims{Name: "nick"}}, header("If-Match", made.ETag))
		if changed.Title != title || !changed.Suspended || !changed.HasSecret || changed.Claims.Name != "nick" || changed.Claims.Require["hd"] != "plant.example" || changed.Issuer != at.issuer {
			t.Errorf("changed to %+v", changed)
		}
		s.refused(412, "precondition_failed", "PATCH", one, httpapi.ProviderUpdate{Title: &title}, header("If-Match", made.ETag))
		s.refused(428, "precondition_required", "PATCH", one, httpapi.ProviderUpdate{Title: &title})
		shown := s.do("GET", httpapi.Prefix+at.path+"/"+made.Key.String(), nil)
		if shown.status != 200 || strings.Contains(string(shown.body), "canary") || shown.header.Get("ETag") != changed.ETag {
			t.Errorf("shown %d %s", shown.status, shown.body)
		}
		if list := must[httpapi.List[httpapi.Provider]](s, 200, "GET", at.path, nil); len(list.Items) != 1 || list.Items[0].Key != made.Key {
			t.Errorf("listed %+v", list)
		}
	}
	company := must[httpapi.Provider](s, 200, "GET", "/providers/company", nil)
	s.refused(404, "not_found", "GET", "/projects/plant-a/providers/"+company.Key.String(), nil) // the platform's is not the project's
	s.refused(404, "not_found", "DELETE", "/projects/plant-a/providers/"+company.Key.String(), nil)
	for _, path := range []string{"/projects/plant-a/providers/company", "/providers/company"} {
		must[struct{}](s, 204, "DELETE", path, nil)
		s.refused(404, "not_found", "GET", path, nil)
	}
}
