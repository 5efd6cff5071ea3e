package tunnel

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// person is somebody who is logged in with a second factor, at a terminal of their own.
type person struct {
	t    *testing.T
	home string
}

var typed = regexp.MustCompile(`secret to type: ([A-Z2-7]+)`)

// newPerson makes a user with privileges on an asset of a project, who logs in and sets up a second factor.
func newPerson(t *testing.T, name, project, flags, asset string) *person {
	t.Helper()
	p := &person{t: t, home: t.TempDir()}
	password := filepath.Join(p.home, "password")
	if err := os.WriteFile(password, []byte("correct horse battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	must[any](t, nil, "user", "create", name, "--password-file", password)
	must[any](t, nil, "member", "add", project, name)
	must[any](t, nil, "privilege", "grant", name, flags, asset)
	c := shared.command(t.Context(), nil, "login", "--local", "--user", name, "--password-file", password, "--server", shared.ready.API, "--ca-file", shared.ready.CAFile)
	c.Env = append(c.Env, "BULKHEAD_CONTEXT_DIR="+p.home)
	told := &lines{}
	c.Stdout, c.Stderr = told, told
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var secret []string
	for deadline := time.Now().Add(time.Minute); secret == nil && time.Now().Before(deadline); secret = typed.FindStringSubmatch(told.String()) {
		<-time.After(20 * time.Millisecond)
	}
	if secret == nil {
		_ = c.Process.Kill()
		t.Fatalf("no second factor is offered:\n%s", told)
	}
	code, err := totp.GenerateCode(secret[1], time.Now())
	if err == nil {
		_, err = io.WriteString(in, code+"\n")
	}
	if errLogin := c.Wait(); err != nil || errLogin != nil {
		t.Fatalf("%v, %v\n%s", err, errLogin, told)
	}
	return p
}

// run runs a command and gives what it said and its exit code.
func (p *person) run(args ...string) (told string, code int) {
	p.t.Helper()
	c := shared.command(p.t.Context(), nil, args...)
	c.Env = append(c.Env, "BULKHEAD_CONTEXT_DIR="+p.home)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	_ = c.Run() // its exit code tells
	return out.String(), c.ProcessState.ExitCode()
}
