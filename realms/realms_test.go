package realms_test

import (
	"testing"

	"pgregory.net/rapid"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

func drawKey(t *rapid.T, label string) wire.Key {
	return wire.Key(rapid.Uint64Range(1, uint64(wire.MaxKey)).Draw(t, label))
}

func TestEachRealmHasOneName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := realms.OfProject(drawKey(t, "project"))
		if rapid.Bool().Draw(t, "data") {
			r = realms.OfInstallation(r.Project, drawKey(t, "app"), rapid.SampledFrom([]wire.Stage{wire.Dev, wire.Prod}).Draw(t, "stage"))
		}
		if got, err := realms.Parse(r.Name()); err != nil || got != r {
			t.Fatalf("%s: got %+v, %v", r.Name(), got, err)
		}
	})
}

func TestNamesThatAreNoRealm(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "realm", "device-", "device-0", "device-01", "device-1-2", "realm-1-2", "realm-1-2-test", "realm-1-2-PROD", "realm-01-2-prod",
		"realm-1-2-prod-", " realm-1-2-prod", "realm-1-2-prod\n", "realm--2-prod", "Realm-1-2-prod", "realm-9007199254740992-2-prod",
	} {
		if r, err := realms.Parse(name); err == nil {
			t.Errorf("%q was read as %+v", name, r)
		}
	}
	if (realms.Realm{}).Name() != "" {
		t.Error("no realm has a name")
	}
}

func TestAnAppsAuthIDHasOneForm(t *testing.T) {
	t.Parallel()
	id := realms.AppIdentity{App: 7, Stage: wire.Prod, Epoch: 3, Serial: "3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f"}
	if got, ok := realms.ParseAppAuthID("app-7-prod-e3@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f"); !ok || got != id {
		t.Errorf("got %+v, %v", got, ok)
	}
	if got := id.AuthID(); got != "app-7-prod-e3@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f" {
		t.Errorf("got %s", got)
	}
	for _, bad := range []string{
		"", "app-07-prod-e3@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f", "app-7-prod-e03@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f",
		"app-7-PROD-e3@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f", "app-7-prod-e3@press-1", "app-7-prod-e-1@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f",
		"app-7-prod-e9999999999@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f", "app-7-prod-e3@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f\n",
	} {
		if got, ok := realms.ParseAppAuthID(bad); ok {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

// The expected value was computed with: printf 'ironflock/app-cred/v1|…' | openssl dgst -sha256 -hmac key -binary | base64
func TestAnAppsSecretIsTheOneThatOtherSDKsDerive(t *testing.T) {
	t.Parallel()
	id := realms.AppIdentity{App: 7, Stage: wire.Prod, Epoch: 3, Serial: "3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f"}
	if got := string(id.Secret(secret.FromString("key")).Reveal()); got != wantAppSecret {
		t.Errorf("got %s", got)
	}
}

func TestAnEditLeavesTheEarlierDirectoryAsItWas(t *testing.T) {
	t.Parallel()
	r := realms.OfInstallation(1, 2, wire.Prod)
	var empty realms.Directory
	full := empty.Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: r})
		e.PutDevice(realms.Device{Serial: "s", Key: 3, Project: 1})
		e.PutService(r, "sample", secret.FromString("x"))
	})
	without := full.Edit(func(e *realms.Editor) {
		e.DeleteRealm(r)
		e.DeleteDevice("s")
	})
	for name, c := range map[string]struct {
		d    *realms.Directory
		want bool
	}{"empty": {&empty, false}, "full": {full, true}, "without": {without, false}} {
		_, hasRealm := c.d.Realm(r.Name())
		_, hasDevice := c.d.Device("s")
		_, hasService := c.d.Service(r.Name(), "sample")
		if hasRealm != c.want || hasDevice != c.want || hasService != c.want {
			t.Errorf("%s: realm %v device %v service %v", name, hasRealm, hasDevice, hasService)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("realm-1-2-prod")
	f.Add("device-1")
	f.Fuzz(func(t *testing.T, name string) {
		if r, err := realms.Parse(name); err == nil && r.Name() != name {
			t.Fatalf("%q and %q name one realm", name, r.Name())
		}
	})
}

func FuzzParseAppAuthID(f *testing.F) {
	f.Add("app-7-prod-e3@3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f")
	f.Fuzz(func(t *testing.T, authid string) {
		if id, ok := realms.ParseAppAuthID(authid); ok && id.AuthID() != authid {
			t.Fatalf("%q and %q name one app", authid, id.AuthID())
		}
	})
}

const wantAppSecret = "f/5nyNARXVOA4qd9NSWGlT1BgSGDOZPRg83jHc7XHqQ="
