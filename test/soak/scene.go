package main

import (
	"fmt"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// The tenants. Router and driver derive them from numbers, so that neither has to tell the other. Both have honest clients and
// misbehaving ones; the third belongs to misbehaving ones and comes and goes.
const (
	tenants        = 2
	third          = 2
	honestDevices  = 10
	rogueDevices   = 40
	deviceCount    = honestDevices + rogueDevices
	app            = wire.Key(77)
	stage          = wire.Prod
	projectNumbers = 1000
)

func project(tenant int) wire.Key { return wire.Key(projectNumbers + tenant) } //nolint:gosec // few

func realmOf(tenant int) realms.Realm { return realms.OfInstallation(project(tenant), app, stage) }

// device is the nth device of a tenant.
func device(tenant, n int) realms.Device {
	number := tenant*deviceCount + n + 1
	return realms.Device{
		Serial: wire.Serial(fmt.Sprintf("00000000-0000-4000-8000-%012d", number)), Key: wire.Key(number), //nolint:gosec // few
		Project: project(tenant), Secrets: []secret.Value{secret.FromString(fmt.Sprintf("secret of device %d", number))},
	}
}

// directory has the tenants, with the third realm or without it.
func directory(withThird bool) *realms.Directory {
	return (&realms.Directory{}).Edit(func(e *realms.Editor) {
		for tenant := range tenants + 1 {
			if tenant != third || withThird {
				e.PutRealm(realms.Entry{Realm: realmOf(tenant)})
			}
			for n := range deviceCount {
				e.PutDevice(device(tenant, n))
			}
		}
	})
}
