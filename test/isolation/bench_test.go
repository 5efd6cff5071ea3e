package isolation

import (
	"log/slog"
	"testing"

	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

// BenchmarkARealmAppears measures from the decision that a realm exists to the first session in it, over TLS and with
// WAMP-CRA, beside a thousand realms that are there already; and again until the realm is gone with its session.
func BenchmarkARealmAppears(b *testing.B) {
	before := slog.SetLogLoggerLevel(slog.LevelError)
	defer slog.SetLogLoggerLevel(before)
	w := newWorld(b)
	many := (&realms.Directory{}).Edit(func(e *realms.Editor) {
		w.tenants["a"].enter(e)
		for range 1000 {
			e.PutRealm(realms.Entry{Realm: realms.OfInstallation(wire.NewKey(), wire.NewKey(), wire.Prod)})
		}
	})
	w.router.Apply(many)
	for b.Loop() {
		t := newTenant()
		t.service = secret.Random()
		w.tenants["new"] = t
		w.router.Apply(many.Edit(t.enter))
		s, err := w.join(b.Context(), "new/service", "new.data", wampx.JSON)
		if err != nil {
			b.Fatal(err)
		}
		w.router.Apply(many)
		<-s.Done()
		_ = s.Close(b.Context()) // it has ended already
	}
}
