package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/dev"
)

func TestProvidersAreConfiguredByCommandsAndTheSampleUsersStay(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	d := site.start(t)
	files := checkPeople(t, d.ready)
	password := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(password, []byte("canary-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := site.run(t, "bulkhead", "provider", "create", "company", "--issuer", "https://company.example", "--client-id", "b", "--client-secret-file", password,
		"--domain", "plant.example", "--acr", "strong=mfa", "--just-in-time", "--max-users", "50")
	for _, want := range []string{d.ready.API + "/login/oidc/company/callback", d.ready.API + "/login/oidc/company\n", "plant.example"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	site.run(t, "bulkhead", "provider", "update", "company", "--suspended", "--title", "The company")
	got := cli[httpapi.Provider](t, d, "provider", "show", "company")
	if !got.Suspended || got.Title != "The company" || !got.HasSecret || !got.JustInTime || got.MaxUsers != 50 || got.ACR["strong"] != "mfa" {
		t.Errorf("got %+v", got)
	}
	if any := cli[httpapi.DemandedProvider](t, d, "provider", "demand", "--project", "plant-a"); any.Key.Valid() {
		t.Errorf("a project demands %+v by itself", any)
	}
	if demanded := cli[httpapi.DemandedProvider](t, d, "provider", "demand", "company", "--project", "plant-a"); demanded.Key != got.Key {
		t.Errorf("got %+v", demanded)
	}
	_, said, err := site.try("bulkhead", "provider", "delete", "company")
	wantExit(t, err, 5)
	if !strings.Contains(said, "a project demands this provider") {
		t.Errorf("said %q", said)
	}
	site.run(t, "bulkhead", "provider", "demand", "--any", "--project", "plant-a")
	_, said, err = site.try("bulkhead", "provider", "create", "own", "--project", "plant-a", "--issuer", "https://company.example", "--client-id", "b")
	wantExit(t, err, 5)
	if !strings.Contains(said, "the server has a provider with this issuer already") {
		t.Errorf("said %q", said)
	}
	_, _, err = site.try("bulkhead", "provider", "create", "own", "--client-id", "b")
	wantExit(t, err, 2)
	site.run(t, "bulkhead", "provider", "delete", "company")
	_, _, err = site.try("bulkhead", "provider", "show", "company")
	wantExit(t, err, 3)

	before := cli[[]httpapi.User](t, d, "user", "list")
	d.stop(t)
	d = site.start(t) // at another port, and so with another issuer
	if again := checkPeople(t, d.ready); again != files {
		t.Error("a restart gave the sample users other secrets")
	}
	after := cli[[]httpapi.User](t, d, "user", "list")
	if len(before) != 2 || len(after) != 2 || after[0].Key != before[0].Key || after[1].Key != before[1].Key {
		t.Errorf("users were %+v and are %+v", before, after)
	}
	if p := cli[httpapi.Provider](t, d, "provider", "show", "dev"); p.Issuer != d.ready.OIDC.Issuer {
		t.Errorf("the provider is %s, the ready file says %s", p.Issuer, d.ready.OIDC.Issuer)
	}
}

// checkPeople checks what the ready file says of the sample users, and gives all that stands in their files.
func checkPeople(t *testing.T, r dev.Ready) (all string) {
	t.Helper()
	if r.OIDC.Issuer != r.API+"/dev-idp" || len(r.Users) != 2 || r.Users[0].Name != "owner" || r.Users[1].Name != "operator" {
		t.Fatalf("the ready file has %+v, %+v", r.OIDC, r.Users)
	}
	for _, u := range r.Users {
		for _, file := range []string{u.PasswordFile, u.TOTPSecretFile} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || strings.ContainsAny(string(text), "\n ") || len(text) < 20 {
				t.Errorf("%s: %v, %d bytes", file, info.Mode(), len(text))
			}
			all += string(text) + "\n"
		}
	}
	return all
}
