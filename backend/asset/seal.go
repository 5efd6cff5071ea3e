package asset

import (
	"fmt"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// The contexts bind a sealed secret to its owner and version, so that it does not open in another row.

func deviceContext(d Device, version int) string {
	return fmt.Sprintf("device|%s|%s|%d", d.Project, d.Serial, version)
}

func appContext(app wire.Key, epoch int) string { return fmt.Sprintf("app|%s|%d", app, epoch) }

func serviceContext(s Service) string { return "service|" + s.Realm.Name() + "|" + s.Name }

// draw makes a new secret and its sealed form.
func (a *Assets) draw(context string) (secret.Value, []byte, error) {
	value := secret.Random()
	sealed, err := a.Sealer.Seal(value, context)
	return value, sealed, errs.Wrap("asset: seal", err)
}
