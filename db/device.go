package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

const (
	selectDevices = `SELECT key, project_key, name, serial::text, suspended, secret_version, revision, created_at FROM device`
	selectSecrets = `SELECT device_key, version, sealed, until FROM device_secret`
)

func scanDevice(row pgx.CollectableRow) (d asset.Device, err error) {
	err = row.Scan(&d.Key, &d.Project, &d.Name, &d.Serial, &d.Suspended, &d.SecretVersion, &d.Revision, &d.CreatedAt)
	d.CreatedAt = d.CreatedAt.UTC()
	return d, err
}

func scanDeviceSecret(row pgx.CollectableRow) (s asset.DeviceSecret, err error) {
	var until *time.Time
	err = row.Scan(&s.Device, &s.Version, &s.Sealed, &until)
	s.Until = utc(until)
	return s, err
}

// Device finds a device by its key.
func (a *Assets) Device(ctx context.Context, key wire.Key) (asset.Device, error) {
	d, err := first(ctx, a.db.pool, scanDevice, selectDevices+` WHERE key = $1`, key)
	return d, found("device", err)
}

// DeviceNamed finds a device of a project by its name.
func (a *Assets) DeviceNamed(ctx context.Context, project wire.Key, name string) (asset.Device, error) {
	d, err := first(ctx, a.db.pool, scanDevice, selectDevices+` WHERE project_key = $1 AND name = $2`, project, name)
	return d, found("device", err)
}

// DeviceWithSerial finds a device by its serial.
func (a *Assets) DeviceWithSerial(ctx context.Context, s wire.Serial) (asset.Device, error) {
	d, err := first(ctx, a.db.pool, scanDevice, selectDevices+` WHERE serial = $1`, string(s))
	return d, found("device", err)
}

// Devices lists the devices of a project in the order of their names.
func (a *Assets) Devices(ctx context.Context, project wire.Key, after string, limit int) ([]asset.Device, error) {
	list, err := list(ctx, a.db.pool, scanDevice, selectDevices+` WHERE project_key = $1 AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`,
		project, after, limit)
	return list, Error("db: devices", err)
}

// InsertDevice keeps a new device with its first secret.
func (a *Assets) InsertDevice(ctx context.Context, d asset.Device, s asset.DeviceSecret, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProject(ctx, tx, d.Project); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO device (key, project_key, name, serial, secret_version, revision, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			d.Key, d.Project, d.Name, string(d.Serial), d.SecretVersion, d.Revision, d.CreatedAt)
		if err != nil {
			return err
		}
		return insertSecret(ctx, tx, s)
	})
}

func insertSecret(ctx context.Context, tx pgx.Tx, s asset.DeviceSecret) error {
	_, err := tx.Exec(ctx, `INSERT INTO device_secret (device_key, version, sealed, until) VALUES ($1, $2, $3, $4)`,
		s.Device, s.Version, s.Sealed, null(s.Until))
	return err
}

// UpdateDevice keeps name, suspension and revision where the stored revision is one lower.
func (a *Assets) UpdateDevice(ctx context.Context, d asset.Device, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE device SET name = $3, suspended = $4, revision = $2 WHERE key = $1 AND revision = $2 - 1`,
			d.Key, d.Revision, d.Name, d.Suspended)
		return touched(tag, err, asset.ErrRevision)
	})
}

// RotateDevice adds the new secret and ends the one before it, or deletes all before it.
func (a *Assets) RotateDevice(ctx context.Context, c asset.DeviceRotation, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		d := c.Device
		tag, err := tx.Exec(ctx, `UPDATE device SET secret_version = $3, revision = $2 WHERE key = $1 AND revision = $2 - 1`, d.Key, d.Revision, d.SecretVersion)
		if err := touched(tag, err, asset.ErrRevision); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM device_secret WHERE device_key = $1 AND (until IS NOT NULL OR $2)`, d.Key, c.Until.IsZero()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE device_secret SET until = $2 WHERE device_key = $1`, d.Key, null(c.Until)); err != nil {
			return err
		}
		return insertSecret(ctx, tx, c.Next)
	})
}

// DeviceSecrets lists the sealed secrets of a device, newest first.
func (a *Assets) DeviceSecrets(ctx context.Context, device wire.Key) ([]asset.DeviceSecret, error) {
	list, err := list(ctx, a.db.pool, scanDeviceSecret, selectSecrets+` WHERE device_key = $1 ORDER BY version DESC`, device)
	return list, Error("db: device secrets", err)
}

// RetireSecrets deletes the secrets of a device that are older than its newest.
func (a *Assets) RetireSecrets(ctx context.Context, s wire.Serial) error {
	_, err := a.db.pool.Exec(ctx, `DELETE FROM device_secret WHERE until IS NOT NULL AND device_key = (SELECT key FROM device WHERE serial = $1)`, string(s))
	return Error("db: retire secrets", err)
}

// DeleteDevice deletes a device with its secrets.
func (a *Assets) DeleteDevice(ctx context.Context, key wire.Key, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM device WHERE key = $1`, key)
		return touched(tag, err, missing("device"))
	})
}
