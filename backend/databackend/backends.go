package databackend

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Provisioner makes and removes schemas, roles and tables.
type Provisioner interface {
	Provision(ctx context.Context, r realms.Realm, t Template) (Placement, error)
	Deprovision(ctx context.Context, r realms.Realm) error
	Placement(ctx context.Context, r realms.Realm) (Placement, error)
}

// Templates knows the template with which an installation was made.
type Templates interface {
	Template(ctx context.Context, r realms.Realm) ([]byte, error)
}

// TableExporter writes all rows of a table as CSV.
type TableExporter interface {
	Export(ctx context.Context, p Placement, t Table, w io.Writer) error
}

// Backends is the life of installations' data from its making to its removal, for those who know nothing of templates.
type Backends struct {
	Provisioner Provisioner
	Templates   Templates
	Ingest      *Ingest
	Tables      TableExporter
	Exports     string // directory that keeps exports
	// Spare fails where the disk has too little left for more of a project; nil: it never has.
	Spare func(project wire.Key) error
}

// Check tells whether a template can be provisioned.
func (b *Backends) Check(template []byte) error {
	_, err := parsed(template)
	return err
}

// parsed reads a template that came without a file's name.
func parsed(template []byte) (Template, error) { return ParseTemplate("template", template) }

// Provision makes what keeps the data of an installation.
func (b *Backends) Provision(ctx context.Context, r realms.Realm, template []byte) error {
	t, err := parsed(template)
	if err != nil {
		return err
	}
	_, err = b.Provisioner.Provision(ctx, r, t)
	return err
}

// Deprovision removes the data of an installation, the rows that still wait on disk among it.
func (b *Backends) Deprovision(ctx context.Context, r realms.Realm) error {
	if err := b.Ingest.Forget(r.Name()); err != nil {
		return err
	}
	return b.Provisioner.Deprovision(ctx, r)
}

// AgentPublications tells what the agents publish into an installation themselves.
func (b *Backends) AgentPublications(template []byte) ([]wire.AgentPublication, error) {
	t, err := parsed(template)
	return t.Agent, err
}

// Open has the ingest serve an installation, and tells all that serving it needs.
func (b *Backends) Open(ctx context.Context, r realms.Realm) (Installation, error) {
	template, err := b.Templates.Template(ctx, r)
	if err != nil {
		return Installation{}, err
	}
	return b.open(ctx, r, template)
}

func (b *Backends) open(ctx context.Context, r realms.Realm, template []byte) (Installation, error) {
	t, err := parsed(template)
	if err != nil {
		return Installation{}, errs.As(wire.Internal, err, "the stored template cannot be read")
	}
	placed, err := b.Provisioner.Placement(ctx, r)
	if err != nil {
		return Installation{}, err
	}
	inst := Installation{Realm: r.Name(), Project: r.Project, Template: t, Placement: placed}
	return inst, b.Ingest.Put(inst)
}

// Export keeps all rows of an installation as CSV files in a new directory, and gives its path. What waits on disk is
// stored before.
func (b *Backends) Export(ctx context.Context, r realms.Realm, template []byte) (where string, err error) {
	inst, err := b.open(ctx, r, template)
	if err != nil {
		return "", errs.Wrap("export "+r.Name(), err)
	}
	if err := b.Ingest.Flush(ctx, inst.Realm); err != nil {
		return "", errs.Wrap("export "+r.Name(), err)
	}
	where = filepath.Join(b.Exports, inst.Realm+"-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := b.exportInto(ctx, where, inst); err != nil {
		return "", errors.Join(errs.Wrap("export "+r.Name(), err), os.RemoveAll(where))
	}
	return where, nil
}

func (b *Backends) exportInto(ctx context.Context, dir string, inst Installation) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return errs.As(wire.Unavailable, err, "the export cannot be written")
	}
	for _, t := range inst.Template.Tables {
		if err := b.exportTable(ctx, filepath.Join(dir, t.Name+".csv"), inst, t); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

func (b *Backends) exportTable(ctx context.Context, file string, inst Installation, t Table) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the export cannot be written")
	}
	err = b.Tables.Export(ctx, inst.Placement, t, &sparing{to: f, spare: func() error {
		if b.Spare == nil {
			return nil
		}
		return b.Spare(inst.Project)
	}})
	return errors.Join(err, f.Sync(), f.Close())
}

// sparing writes while the disk has room for more: compressed tables make files many times their size, which nobody has
// counted before.
type sparing struct {
	to    io.Writer
	spare func() error
	left  int // bytes until it is asked again
}

// spareEach is how many bytes are written between two questions whether the disk has room.
const spareEach = 1 << 20

// Write is of io.Writer.
func (s *sparing) Write(p []byte) (int, error) {
	if s.left <= 0 {
		if err := s.spare(); err != nil {
			return 0, err
		}
		s.left = spareEach
	}
	s.left -= len(p)
	return s.to.Write(p)
}

// Waiting is how many bytes are on this server's disk for a project until the database has them; see Ingest.
func (b *Backends) Waiting(project wire.Key) int64 { return b.Ingest.Waiting(project) }

// Exported tells how many bytes the exports of each project have that are kept on this server's disk.
func (b *Backends) Exported() (map[wire.Key]int64, error) {
	bytes := map[wire.Key]int64{}
	dirs, err := os.ReadDir(b.Exports)
	if errors.Is(err, fs.ErrNotExist) {
		return bytes, nil
	}
	for _, dir := range dirs {
		name := dir.Name()
		realm, errName := realms.Parse(name[:max(0, strings.LastIndexByte(name, '-'))])
		if errName != nil {
			continue // somebody else's
		}
		files, errDir := os.ReadDir(filepath.Join(b.Exports, name))
		err = errors.Join(err, errDir)
		for _, file := range files {
			if info, errFile := file.Info(); errFile == nil { // else it was deleted just now
				bytes[realm.Project] += info.Size()
			}
		}
	}
	return bytes, errs.As(wire.Unavailable, err, "the exports cannot be listed")
}
