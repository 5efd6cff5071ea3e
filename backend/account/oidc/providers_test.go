package oidc_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"bulkhead/backend/account/oidc"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// strangersCA is an authority that signed nothing here.
const strangersCA = `-----BEGIN CERTIFICATE-----
MIIBfDCCASOgAwIBAgIUQyQeNNqY35dOEv62cVVHvaEKb24wCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIc3RyYW5nZXIwIBcNMjYxMTIyMjE1NjEwWhgPMjEyNjEwMjky
MTU2MTBaMBMxETAPBgNVBAMMCHN0cmFuZ2VyMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEdARlx1dLfGc8WObJqeZO9cU346Q71NPK9xf9FeFWe4JlZ2r0wpTXzLRk
ZVcHUJVn4MekFaFPNrZZYcCruywFTKNTMFEwHQYDVR0OBBYEFB+BJYbGhgsNUUWE
ijKZ4Gnlc+s2MB8GA1UdIwQYMBaAFB+BJYbGhgsNUUWEijKZ4Gnlc+s2MA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgSdX2XKdXfIND2HXdZG3vHIlH
dIiwvIQ/sXyH+mR0oUcCIDic3uVN6n5xElEXQ7CIoBp/RJmZ1v11wHj00pNcbSBn
-----END CERTIFICATE-----`

// ofProject is the administrator of a project, who has no right on the platform.
var ofProject = oidc.Administrator{Actor: audit.Actor{Kind: audit.APIKey, ID: "tenant"}}

// project makes a project.
func (s *stage) project(name string) wire.Key {
	s.t.Helper()
	key := wire.NewKey()
	_, err := s.database.Pool().Exec(s.t.Context(), `INSERT INTO bulkhead.project (key, name, title, created_at) VALUES ($1, $2, '', now())`, key, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

func row(name, issuer string) oidc.Provider {
	return oidc.Provider{Name: name, Issuer: issuer, ClientID: clientID}
}

func TestAProjectsProviderDoesNotReachBeyondTheProject(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	key := s.project("plant-a")
	for field, edit := range map[string]func(*oidc.Provider){
		"private_network": func(p *oidc.Provider) { p.PrivateNetwork = true },
		"domains":         func(p *oidc.Provider) { p.Domains = []string{"plant.example"} },
		"ca":              func(p *oidc.Provider) { p.CA = newProvider(t).ca },
		"max_users":       func(p *oidc.Provider) { p.MaxUsers = oidc.DefaultMaxUsers + 1 },
	} {
		p := row("own", "https://idp.example")
		p.Project = key
		edit(&p)
		_, err := s.providers.Create(t.Context(), ofProject, p, secret.Value{})
		if errs.KindOf(err) != wire.Denied || !strings.Contains(errs.UserText(err), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	p := row("own", "https://idp.example")
	p.Project = key
	made, err := s.providers.Create(t.Context(), ofProject, p, secret.Value{})
	if err != nil {
		t.Fatal(err)
	}
	for field, edit := range map[string]func(*oidc.Provider){
		"private_network": func(p *oidc.Provider) { p.PrivateNetwork = true },
		"issuer":          func(p *oidc.Provider) { p.Issuer = "https://other.example" },
		"max_users":       func(p *oidc.Provider) { p.MaxUsers = oidc.MostUsers },
	} {
		if _, err := s.providers.Update(t.Context(), ofProject, made.Key, 0, edit, nil); errs.KindOf(err) != wire.Denied {
			t.Errorf("%s: %v", field, err)
		}
		if _, err := s.providers.Update(t.Context(), administrator, made.Key, 0, edit, nil); err != nil {
			t.Errorf("%s by the platform: %v", field, err)
		}
	}
	if made, err = s.providers.Update(t.Context(), ofProject, made.Key, 0, func(p *oidc.Provider) { p.Title = "Ours"; p.Project, p.Name = 0, "x" }, nil); err != nil || made.Title != "Ours" || made.Project != key || made.Name != "own" {
		t.Errorf("the title: %+v, %v", made, err)
	}
	if made.Slug() != key.String()+"-own" {
		t.Errorf("slug %q", made.Slug())
	}
	if _, err := s.providers.Find(t.Context(), 0, made.Key.String()); errs.KindOf(err) != wire.NotFound {
		t.Errorf("found as the platform's: %v", err)
	}
}

func TestAProviderMakesTenThousandUsersWhereNobodySaysOtherwise(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	made, err := s.providers.Create(t.Context(), administrator, row("company", "https://idp.example"), secret.Value{})
	if err != nil || made.MaxUsers != 10_000 {
		t.Fatalf("%d, %v", made.MaxUsers, err)
	}
	limit := func(n int) error {
		_, err := s.providers.Update(t.Context(), administrator, made.Key, 0, func(p *oidc.Provider) { p.MaxUsers = n }, nil)
		return err
	}
	for _, n := range []int{-1, oidc.MostUsers + 1} {
		if err := limit(n); errs.KindOf(err) != wire.Invalid {
			t.Errorf("%d: %v", n, err)
		}
	}
	if err := limit(5); err != nil {
		t.Fatal(err)
	}
	if got, err := s.providers.Find(t.Context(), 0, "company"); err != nil || got.MaxUsers != 5 {
		t.Errorf("%d, %v", got.MaxUsers, err)
	}
}

func TestTheUsersOfThePlatformsProviderDoNotComeInUnderAProjectsRules(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a, b := s.project("plant-a"), s.project("plant-b")
	create := func(project wire.Key, name, issuer string) error {
		p := row(name, issuer)
		p.Project = project
		_, err := s.providers.Create(t.Context(), administrator, p, secret.Value{})
		return err
	}
	if err := create(0, "company", "https://company.example"); err != nil {
		t.Fatal(err)
	}
	if err := create(a, "mine", "https://company.example"); errs.KindOf(err) != wire.Conflict {
		t.Errorf("a project with the platform's issuer: %v", err)
	}
	for _, project := range []wire.Key{a, b} { // projects may share one
		if err := create(project, "company", "https://public.example"); err != nil {
			t.Error(err)
		}
	}
	if err := create(0, "public", "https://public.example"); errs.KindOf(err) != wire.Conflict {
		t.Errorf("the platform with a project's issuer: %v", err)
	}
	if err := create(a, "company", "https://third.example"); errs.KindOf(err) != wire.Conflict {
		t.Errorf("a name twice: %v", err)
	}
}

func TestADomainRoutesToOneProvider(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p, func(row *oidc.Provider) { row.Domains = []string{"plant.example", "other.example"} })
	got, err := s.party.ChoiceOf(t.Context(), "Alice@PLANT.example")
	if err != nil || got.Slug != "company" || got.Title != "The company" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, address := range []string{"alice@evil.example", "alice@sub.plant.example", "plant.example", "@", "", "a@b@plant.example", "a@plant.example\x00"} {
		if _, err := s.party.ChoiceOf(t.Context(), address); errs.KindOf(err) != wire.NotFound {
			t.Errorf("%q: %v", address, err)
		}
	}
	second := row("second", "https://second.example")
	second.Domains = []string{"other.example"}
	if _, err := s.providers.Create(t.Context(), administrator, second, secret.Value{}); errs.KindOf(err) != wire.Conflict {
		t.Errorf("a domain twice: %v", err)
	}
	s.suspend("company")
	if _, err := s.party.ChoiceOf(t.Context(), "alice@plant.example"); errs.KindOf(err) != wire.NotFound {
		t.Errorf("suspended: %v", err)
	}
	if choices, err := s.party.Choices(t.Context()); err != nil || len(choices) != 0 {
		t.Errorf("choices %v, %v", choices, err)
	}
}

func TestTheClientSecretIsStoredSealedAndToldToNobody(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	made := s.add("company", p)
	var sealed []byte
	var entries string
	if err := s.database.Pool().QueryRow(t.Context(), `SELECT sealed, (SELECT string_agg(e::text, ' ') FROM bulkhead.audit_entry e) FROM bulkhead.provider`).Scan(&sealed, &entries); err != nil {
		t.Fatal(err)
	}
	if len(sealed) == 0 || bytes.Contains(sealed, []byte("canary")) || strings.Contains(entries, "canary") {
		t.Errorf("stored as %q, told as %s", sealed, entries)
	}
	other := s.add("other", newProvider(t)) // a sealed secret does not open in another row
	if _, err := s.database.Pool().Exec(t.Context(), `UPDATE bulkhead.provider SET sealed = $1 WHERE key = $2`, sealed, other.Key); err != nil {
		t.Fatal(err)
	}
	if got, err := s.providers.Update(t.Context(), administrator, made.Key, 0, func(*oidc.Provider) {}, &secret.Value{}); err != nil || got.HasSecret {
		t.Errorf("without a secret: %+v, %v", got, err)
	}
}

func TestAChangeIsMadeOnlyToWhatWasRead(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	made := s.add("company", p)
	var all sync.WaitGroup
	var mu sync.Mutex
	changed := 0
	for range 8 {
		all.Go(func() {
			_, err := s.providers.Update(t.Context(), administrator, made.Key, made.Revision, func(p *oidc.Provider) { p.Title += "!" }, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				changed++
			} else if errs.KindOf(err) != wire.Conflict {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if changed != 1 {
		t.Errorf("%d changes", changed)
	}
}

func TestLoginsEndWithTheirProvider(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	var ended []string
	s.providers = oidc.NewProviders(db.NewProviders(s.database.DB), s.config.Sealer, s.clock.Now, func(id string) { ended = append(ended, id) })
	one, two, other := s.add("one", p), s.add("two", newProvider(t)), s.add("other", newProvider(t))
	for i, row := range []oidc.Provider{one, two, other} {
		id := strings.Repeat(string(rune('a'+i)), 16)
		_, err := s.database.Pool().Exec(t.Context(), `WITH p AS (INSERT INTO bulkhead.principal (key, kind, name, created_at) VALUES ($1, 'user', 'u', now())),
			u AS (INSERT INTO bulkhead.app_user (key, issuer, subject, provider_key) VALUES ($1, $2, 'u', $3))
			INSERT INTO bulkhead.login (id, user_key, kind, level, hash, first_at, created_at, seen_at, expires_at, ends_at, address, agent, provider_key)
			VALUES ($4, $1, 'browser', 1, sha256('x'), now(), now(), now(), now() + interval '1 hour', now() + interval '1 hour', '', '', $3)`, i+1, row.Issuer, row.Key, id)
		if err != nil {
			t.Fatal(err)
		}
	}
	s.suspend("one")
	if err := s.providers.Delete(t.Context(), administrator, two.Key); err != nil {
		t.Fatal(err)
	}
	var left string
	if err := s.database.Pool().QueryRow(t.Context(), `SELECT string_agg(id, ' ') FROM bulkhead.login`).Scan(&left); err != nil || left != strings.Repeat("c", 16) {
		t.Errorf("left are %q, %v", left, err)
	}
	if strings.Join(ended, " ") != strings.Repeat("a", 16)+" "+strings.Repeat("b", 16) {
		t.Errorf("told of %q", ended)
	}
}

func TestAProviderThatMovesTakesItsUsersAlong(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	made := s.add("company", p)
	for sql, args := range map[string][]any{
		`WITH p AS (INSERT INTO bulkhead.principal (key, kind, name, created_at) VALUES (5, 'user', 'Alice', now()) RETURNING key)
			INSERT INTO bulkhead.app_user (key, issuer, subject, provider_key) SELECT key, $1, 'alice', $2 FROM p`: {p.issuer, made.Key},
	} {
		if _, err := s.database.Pool().Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.providers.Update(t.Context(), administrator, made.Key, 0, func(p *oidc.Provider) { p.Issuer = "https://moved.example" }, nil); err != nil {
		t.Fatal(err)
	}
	var issuer string
	if err := s.database.Pool().QueryRow(t.Context(), `SELECT issuer FROM bulkhead.app_user WHERE subject = 'alice'`).Scan(&issuer); err != nil || issuer != "https://moved.example" {
		t.Errorf("the user is of %q, %v", issuer, err)
	}
}
