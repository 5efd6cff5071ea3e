package isolation

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// joins reports whether a credential opens a realm.
func (o *offices) joins(path, realm, authid, text string) bool {
	o.t.Helper()
	s, err := wampx.Dial(o.t.Context(), wampx.Config{
		URL: strings.TrimSuffix(o.Router(), "/ws") + path, Realm: realm, AuthID: authid, Secret: secret.FromString(text), TLS: &tls.Config{RootCAs: o.roots},
	})
	if err == nil {
		_ = s.Close(o.t.Context())
	}
	return err == nil
}

// A device that is made again under its old name is another one.
func TestADeviceThatIsMadeAgainHasNothingOfTheOld(t *testing.T) {
	t.Parallel()
	o := newOffices(t)
	create := func(project string) wire.Flash {
		return ask[httpapi.DeviceFlash](o.site, o.key, "POST", "/projects/"+project+"/devices", httpapi.DeviceCreate{Name: "press-2"}).Flash
	}
	old := create("plant-a")
	ask[httpapi.Grant](o.site, o.key, "POST", "/grants", httpapi.GrantCreate{Principal: "viewer", Asset: "device:plant-a/press-2", Flags: []wire.Flag{wire.DeviceRead}})
	if status, text := o.status(o.keys["viewer"], "GET", "/devices/plant-a%2Fpress-2"); status != http.StatusOK {
		t.Fatal(status, text)
	}
	if !o.joins("/ws-agent", old.DeviceRealm, string(old.Serial), old.Secret) {
		t.Fatal("the device cannot join")
	}
	app := ask[httpapi.AppCredential](o.site, o.key, "POST", "/realms/"+o.data["a"]+"/app-credential", httpapi.AppCredentialCreate{Device: "press-2"})
	if !o.joins("/ws", o.data["a"], app.AuthID, app.Secret) {
		t.Fatal("the device's app cannot join")
	}
	ask[struct{}](o.site, o.key, "DELETE", "/projects/plant-a/devices/press-2", nil)
	made := map[string]wire.Flash{"plant-a": create("plant-a"), "plant-b": create("plant-b")}
	for project, f := range made {
		if f.Device == old.Device || f.Serial == old.Serial || f.Secret == old.Secret {
			t.Errorf("%s: it has something of the old: %v", project, f.Device)
		}
		for _, serial := range []wire.Serial{old.Serial, f.Serial} {
			for _, realm := range []string{f.DeviceRealm, o.data[project[len("plant-"):]]} {
				if o.joins("/ws-agent", realm, string(serial), old.Secret) {
					t.Errorf("%s: the old secret joins %s as %s", project, realm, serial)
				}
			}
		}
		if status, text := o.status(o.keys["viewer"], "GET", "/devices/"+project+"%2Fpress-2"); status != http.StatusNotFound {
			t.Errorf("%s: what was granted on the old is held on the new: %d %s", project, status, text)
		}
	}
	if o.joins("/ws", o.data["a"], app.AuthID, app.Secret) {
		t.Error("the old device's app joins")
	}
}

// An installation that is made again has its old realm's name, and nothing else of it.
func TestAnInstallationThatIsMadeAgainLetsNobodyInOfTheOld(t *testing.T) {
	t.Parallel()
	o := newOffices(t)
	realm := o.data["a"]
	service := ask[httpapi.ServiceSecret](o.site, o.key, "POST", "/realms/"+realm+"/services", httpapi.ServiceCreate{Name: "sample"})
	if !o.joins("/ws", realm, "service:sample", service.Secret) {
		t.Fatal("the service cannot join")
	}
	login := ask[httpapi.DatabaseCredential](o.site, o.key, "GET", "/realms/"+realm+"/database-credentials", nil)
	ticket := o.ticket("reader", realm)
	ask[struct{}](o.site, o.key, "DELETE", "/projects/plant-a/installations/metrics@prod", nil)
	again := ask[httpapi.Installation](o.site, o.key, "POST", "/projects/plant-a/installations", httpapi.InstallationCreate{App: "metrics", Stage: wire.Prod, Template: table}).Realm
	if again != realm {
		t.Fatalf("%s is now %s", realm, again)
	}
	if _, err := o.redeem(ticket); err == nil {
		t.Error("the ticket for the old opens the new")
	}
	if status, text := o.status(o.keys["reader"], "POST", "/realms/"+realm+"/ticket"); status != http.StatusNotFound {
		t.Errorf("what was granted on the old is held on the new: %d %s", status, text)
	}
	if o.joins("/ws", realm, "service:sample", service.Secret) {
		t.Error("the old one's service joins")
	}
	fresh := ask[httpapi.DatabaseCredential](o.site, o.key, "GET", "/realms/"+realm+"/database-credentials", nil)
	if fresh.User == login.User || fresh.Schema == login.Schema || fresh.Password == login.Password {
		t.Error("the database login is the old one's")
	}
}
