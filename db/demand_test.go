package db_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// vouched makes somebody a user of a provider; of 0, a local one.
func (d *deeds) vouched(who, provider wire.Key) {
	d.t.Helper()
	issuer := "https://idp.example"
	if !provider.Valid() {
		issuer = "local"
	}
	d.sql(`INSERT INTO app_user (key, issuer, subject, provider_key) VALUES ($1::bigint, $2, $1::bigint::text, NULLIF($3::bigint, 0))`, who, issuer, provider)
}

func (d *deeds) provider(name string) wire.Key {
	d.t.Helper()
	key := wire.NewKey()
	d.sql(`INSERT INTO provider (key, name, title, issuer, client_id, algorithms, scopes, claims, acr, amr, domains, just_in_time, logout, suspended, private_network, ca, created_at)
		VALUES ($1, $2::text, $2::text, 'https://' || $2::text, 'x', '{RS256}', '{openid}', '{}', '{}', '{}', '{}', true, false, false, false, '', now())`, key, name)
	return key
}

func TestAProjectAdmitsTheUsersOfTheProviderThatItDemands(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	company, other := d.provider("company"), d.provider("other")
	d.vouched(d.ann, company)
	d.vouched(d.bob, company)
	d.vouched(d.cid, 0)
	d.member(d.bob)
	d.member(d.cid)
	press := privilege.DeviceAsset(d.project, d.press)
	for _, who := range []wire.Key{d.bob, d.cid} {
		if _, err := d.give(d.ann, who, press, wire.DeviceRead); err != nil {
			t.Fatal(err)
		}
	}
	may := func(who wire.Key) bool {
		return d.live.Snapshot().May(privilege.Subject{Key: who}, wire.DeviceRead, press, time.Now())
	}
	demand := func(who, provider wire.Key) error {
		return d.g.SetDemand(t.Context(), by(who), d.project, "plant-a", provider)
	}
	if err := demand(d.bob, company); errs.KindOf(err) != wire.Denied {
		t.Errorf("a member demanded: %v", err)
	}
	if err := demand(d.ann, other); errs.KindOf(err) != wire.Conflict || !strings.Contains(errs.UserText(err), "no owner") {
		t.Errorf("the only owner locked themselves out: %v", err)
	}
	if err := demand(d.ann, company); err != nil {
		t.Fatal(err)
	}
	if !may(d.ann) || !may(d.bob) || may(d.cid) || d.live.Snapshot().Belongs(privilege.Subject{Key: d.cid}, d.project) {
		t.Errorf("owner %v, of the provider %v, another %v", may(d.ann), may(d.bob), may(d.cid))
	}
	// One change of a single holder reads no more than that one.
	if _, err := d.give(d.ann, d.cid, press, wire.DeviceWrite); err != nil {
		t.Fatal(err)
	}
	if err := d.live.Sync(t.Context()); err != nil || may(d.cid) {
		t.Errorf("a grant let them in: %v", err)
	}
	if _, err := db.NewProviders(d.DB).DeleteProvider(t.Context(), company, audit.New(tester, audit.ProviderDelete, 0, audit.Asset{Kind: "provider", Key: company})); errs.KindOf(err) != wire.Conflict {
		t.Errorf("a provider that is demanded was deleted: %v", err)
	}
	offer, err := d.g.Offer(t.Context(), by(d.ann), d.project, "plant-a", d.cid, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.g.Accept(t.Context(), by(d.cid), offer.Key); errs.KindOf(err) != wire.Conflict {
		t.Errorf("the project was left to somebody who cannot enter: %v", err)
	}
	if err := demand(d.ann, 0); err != nil || !may(d.cid) {
		t.Errorf("the demand has not ended: %v", err)
	}
	members, err := d.g.Members(t.Context(), d.project, 0, 10)
	if err != nil || !slices.ContainsFunc(members, func(m privilege.Member) bool { return m.Principal == d.cid }) {
		t.Errorf("what they had is gone: %v, %v", members, err)
	}
}
