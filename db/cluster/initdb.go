package cluster

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/db/pgerr"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// hba lets in who comes through the socket and knows a password. There is no other way in.
const hba = "local all all scram-sha-256\n"

// initialize makes the data directory where there is none, under another name first: what a crash interrupts is
// thrown away and begun again.
func initialize(ctx context.Context, l layout, b binaries, password secret.Value) error {
	if _, err := os.Stat(l.data()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(l.newData()); err != nil {
		return err
	}
	if err := l.user.makeDir(l.newData()); err != nil {
		return err
	}
	if err := initdb(ctx, l, b, password); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.newData(), "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	if err := os.Rename(l.newData(), l.data()); err != nil {
		return err
	}
	return syncDir(l.dir)
}

func initdb(ctx context.Context, l layout, b binaries, password secret.Value) error {
	// The password reaches initdb through a file in a directory that only the server's user and root enter.
	passwordFile := filepath.Join(l.run(), "initdb")
	if err := os.WriteFile(passwordFile, append(password.Reveal(), '\n'), 0o600); err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	if err := l.user.own(passwordFile); err != nil {
		return err
	}
	cmd, files, err := l.command(b.path("initdb"), l.newData(), "-D", dataFD, "-U", User, "--pwfile", runFD+"/initdb",
		"--auth", "scram-sha-256", "--data-checksums", "--encoding", "UTF8", "--locale", "C", "--no-instructions")
	if err != nil {
		return err
	}
	defer closeAll(files)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runUntil(ctx, cmd); err != nil {
		return errs.As(wire.Unavailable, err, "PostgreSQL's initdb failed: %s", lastLine(out.String()))
	}
	return nil
}

// runUntil runs a program to its end, or until ctx ends.
func runUntil(ctx context.Context, cmd *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	runtime.LockOSThread() // the kernel's signal at our death is bound to this thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-ended
		return ctx.Err()
	}
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// ensureDatabase makes our database in a server that runs.
func ensureDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return pgerr.Wrap("connect", err, nil)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", Database).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+Database)
	}
	return pgerr.Wrap("create database", err, nil)
}
