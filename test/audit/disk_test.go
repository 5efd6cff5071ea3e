package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bulkhead/db/dbtest"
)

// smallDisk is a file system of a few hundred kilobytes in which the database server may keep a table.
func smallDisk(t *testing.T) (dir, tablespace string) {
	t.Helper()
	admin := dbtest.Get(t).Admin()
	var pid int
	if err := admin.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		t.Skipf("the database server is of another machine: %v", err)
	}
	dir, err = os.MkdirTemp("", "bulkhead-disk-") // the server may go there, as it may not below t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=0711"); err != nil {
		t.Skipf("no file system can be mounted here, so no disk can be full: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	below := filepath.Join(dir, "tables")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(below, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
	tablespace = strings.ReplaceAll(filepath.Base(dir), "-", "_")
	if _, err := admin.Exec(t.Context(), fmt.Sprintf("CREATE TABLESPACE %s LOCATION '%s'", tablespace, below)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(context.Background(), "DROP TABLESPACE "+tablespace); err != nil {
			t.Error(err)
		}
	})
	return dir, tablespace
}

// fill writes until nothing more can be written.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestWhereTheDiskOfTheLogIsFullNothingIsChanged(t *testing.T) {
	t.Parallel()
	dir, tablespace := smallDisk(t)
	s := newScene(t)
	s.exec("ALTER TABLE audit_entry SET TABLESPACE " + tablespace)
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	create := func(i int) (int, string) {
		return s.cli("device", "create", fmt.Sprintf("press-%d", i), "--project", "plant-a", "--flash-file", filepath.Join(t.TempDir(), "flash"))
	}
	made := 0
	code, said := create(made)
	for code == 0 && made < 100 { // the newest page of the table has some room
		made++
		code, said = create(made)
	}
	if code != 6 || !strings.Contains(said, "the audit log cannot be written, so nothing was changed") {
		t.Fatalf("after %d devices: exit code %d: %s", made, code, said)
	}
	if _, err := s.super.Exec(t.Context(), "INSERT INTO audit_entry SELECT sequence + 1000, log_key, recorded_at, action, severity, actor_id, asset_kind, asset_key, asset_name, leaf FROM audit_entry"); err == nil || !strings.Contains(err.Error(), "53100") {
		t.Errorf("the disk is not full: %v", err)
	}
	for _, args := range [][]string{
		{"project", "create", "plant-b"}, {"app", "create", "gauge"}, {"group", "create", "hall", "--project", "plant-a"},
		{"apikey", "create", "robot"},
	} {
		if code, said := s.cli(args...); code != 6 {
			t.Errorf("%v: exit code %d: %s", args, code, said)
		}
	}
	for table, want := range map[string]int{"device": made, "project": 1, "app": 0} {
		var n int
		if s.scan(&n, "SELECT count(*) FROM "+table); n != want {
			t.Errorf("%d of %s, want %d", n, table, want)
		}
	}
	s.wantExit(0, "plant-a", "project", "list") // what needs no entry goes on
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if code, said := create(made); code != 0 {
		t.Errorf("and it cannot be made now: %s", said)
	}
	s.signed()
	s.wantVerify(0, "")
}
