package asset

import (
	"context"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

func serviceAsset(s Service) audit.Asset {
	return audit.Asset{Kind: "service", Name: s.Realm.Name() + "/" + s.Name}
}

// CreateService makes a service principal of an installation and gives its secret, once.
func (a *Assets) CreateService(ctx context.Context, by audit.Actor, r realms.Realm, name string) (Service, secret.Value, error) {
	if r.Kind != realms.Data {
		return Service{}, secret.Value{}, errs.E(wire.Invalid, "services belong to the realms of installations")
	}
	if err := checkName("name", name); err != nil {
		return Service{}, secret.Value{}, err
	}
	s := Service{Realm: r, Name: name, CreatedAt: a.now()}
	value, sealed, err := a.draw(serviceContext(s))
	if err != nil {
		return Service{}, secret.Value{}, err
	}
	entry := audit.New(by, audit.ServiceCreate, r.Project, serviceAsset(s)).Changed(nil, s)
	err = a.change(ctx,
		func(ctx context.Context) error { return a.Store.InsertService(ctx, s, sealed, entry) },
		func(d *draft) { d.PutService(r, name, value) })
	if err != nil {
		return Service{}, secret.Value{}, errs.Wrap("asset: create service", err)
	}
	return s, value, nil
}

// Services lists the services of an installation in the order of their names.
func (a *Assets) Services(ctx context.Context, r realms.Realm, afterName string, limit int) ([]Service, error) {
	return a.Store.Services(ctx, r, afterName, limit)
}

// DeleteService removes a service principal and ends its sessions.
func (a *Assets) DeleteService(ctx context.Context, by audit.Actor, r realms.Realm, name string) error {
	if checkName("name", name) != nil {
		return noSuch("service")
	}
	s := Service{Realm: r, Name: name}
	entry := audit.New(by, audit.ServiceDelete, r.Project, serviceAsset(s))
	err := a.change(ctx,
		func(ctx context.Context) error { return a.Store.DeleteService(ctx, s, entry) },
		func(d *draft) { d.DeleteService(r, name) })
	return errs.Wrap("asset: delete service", err)
}
