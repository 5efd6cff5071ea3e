package dev

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/configs"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// The samples: two projects, so that one can try to see the other.
const (
	sampleApp     = "host-metrics"
	sampleTable   = "metrics"
	sampleService = "sample"
)

var samples = []struct{ project, device string }{{"plant-a", "press-1"}, {"plant-b", "oven-1"}}

// seeder makes the samples that are missing and leaves the others alone, so that a start that was cut off is completed by
// the next.
type seeder struct {
	assets *asset.Assets
	dir    string // flash files and secrets
	tables func(ctx context.Context, r realms.Realm) (schema string, tables []string, err error)
}

// seed gives the samples as the ready file describes them.
func (s *seeder) seed(ctx context.Context) ([]ReadyProject, error) {
	app, err := orCreate(s.assets.FindApp(ctx, sampleApp))(func() (asset.App, error) {
		return s.assets.CreateApp(ctx, audit.Server, sampleApp, "What agents measure of their own device", 0)
	})
	if err != nil {
		return nil, err
	}
	var projects []ReadyProject
	for _, sample := range samples {
		project, err := s.project(ctx, app, sample.project, sample.device)
		if err != nil {
			return nil, errs.Wrap("sample "+sample.project, err)
		}
		projects = append(projects, project)
	}
	return projects, nil
}

// orCreate keeps what was found, and has it made where it was not.
func orCreate[T any](found T, err error) func(create func() (T, error)) (T, error) {
	return func(create func() (T, error)) (T, error) {
		if errs.KindOf(err) == wire.NotFound {
			return create()
		}
		return found, err
	}
}

func (s *seeder) project(ctx context.Context, app asset.App, name, device string) (ReadyProject, error) {
	project, err := orCreate(s.assets.FindProject(ctx, name))(func() (asset.Project, error) {
		return s.assets.CreateProject(ctx, audit.Server, name, "")
	})
	if err != nil {
		return ReadyProject{}, err
	}
	installation, err := s.installation(ctx, project, app)
	if err != nil {
		return ReadyProject{}, err
	}
	d, err := s.device(ctx, project, device)
	if err != nil {
		return ReadyProject{}, err
	}
	return ReadyProject{
		Key: project.Key, Name: project.Name, DeviceRealm: realms.OfProject(project.Key).Name(),
		Installations: []ReadyInstallation{installation}, Devices: []ReadyDevice{d},
	}, nil
}

func (s *seeder) installation(ctx context.Context, project asset.Project, app asset.App) (ReadyInstallation, error) {
	r := realms.OfInstallation(project.Key, app.Key, wire.Prod)
	_, err := orCreate(s.assets.FindInstallation(ctx, project.Name+"/"+app.Name+"@prod"))(func() (asset.Installation, error) {
		return s.assets.Install(ctx, audit.Server, project.Key, app.Key, wire.Prod, configs.HostMetrics)
	})
	if err != nil {
		return ReadyInstallation{}, err
	}
	schema, _, err := s.tables(ctx, r)
	if err != nil {
		return ReadyInstallation{}, err
	}
	file, err := s.service(ctx, project, r)
	return ReadyInstallation{
		AppKey: app.Key, App: app.Name, Stage: wire.Prod, Realm: r.Name(), Schema: schema, Table: sampleTable,
		Service: ReadyService{AuthID: "service:" + sampleService, SecretFile: file},
	}, err
}

// service makes the sample service again where its secret is not on disk: it is shown only once.
func (s *seeder) service(ctx context.Context, project asset.Project, r realms.Realm) (string, error) {
	file := filepath.Join(s.dir, project.Name+"-"+sampleService+".secret")
	if exists(file) {
		return file, nil
	}
	if err := s.assets.DeleteService(ctx, audit.Server, r, sampleService); err != nil && errs.KindOf(err) != wire.NotFound {
		return "", err
	}
	_, password, err := s.assets.CreateService(ctx, audit.Server, r, sampleService)
	if err != nil {
		return "", err
	}
	return file, secret.WriteFile(file, password.Reveal())
}

// device makes the sample device, or gives it a new secret where its flash file is not on disk.
func (s *seeder) device(ctx context.Context, project asset.Project, name string) (ReadyDevice, error) {
	file := filepath.Join(s.dir, name+".flash")
	d, err := s.assets.FindDevice(ctx, project.Name+"/"+name)
	var flash wire.Flash
	switch {
	case errs.KindOf(err) == wire.NotFound:
		d, flash, err = s.assets.CreateDevice(ctx, audit.Server, project.Key, name)
	case err == nil && !s.current(file):
		d, flash, err = s.assets.RotateDevice(ctx, audit.Server, d.Key, 0)
	}
	if err != nil {
		return ReadyDevice{}, err
	}
	if flash.Serial != "" {
		err = writeFlash(file, flash)
	}
	return ReadyDevice{Key: d.Key, Serial: d.Serial, Name: d.Name, FlashFile: file}, err
}

// current reports whether the flash file is there and names this server: the port may be another than at the last start.
func (s *seeder) current(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	flash, err := wire.ParseFlash(text)
	return err == nil && flash.Router == s.assets.Enrolment.Router && flash.CA == s.assets.Enrolment.CA
}

func exists(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist)
}
