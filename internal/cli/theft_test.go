package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Each is a way to have a user's credential sent elsewhere or read by others.

func TestALoginIsNotSentToAnotherServer(t *testing.T) {
	t.Parallel()
	d, thief := newDesk(t, "one"), newFake(t)
	for _, args := range [][]string{
		{"project", "list", "--server", thief.URL, "--context", "desk", "--ca-file", d.caFile},
		{"project", "list", "--server", thief.URL, "--ca-file", d.caFile},
		{"whoami", "--server", strings.Replace(d.fake.URL, "https://", "https://me@", 1), "--context", "desk"},
		{"project", "list", "--server", strings.Replace(d.fake.URL, "https:", "http:", 1), "--context", "desk"},
	} {
		if code, said := d.run(strings.NewReader(""), args...); code == 0 {
			t.Errorf("%v: %s", args, said)
		}
	}
	if len(thief.tokens)+len(d.fake.tokens) != 0 {
		t.Errorf("sent: %v %v", thief.tokens, d.fake.tokens)
	}
}

func TestAContextIsNotTakenOverByAnotherServersLogin(t *testing.T) {
	t.Parallel()
	d, other := newDesk(t, "one"), newFake(t)
	code, said := d.run(strings.NewReader(""), "login", "--server", other.URL, "--context", "desk", "--ca-file", d.caFile)
	if code != 5 || !strings.Contains(said, "is of "+d.fake.URL) || d.read("desk.token") != "one" {
		t.Errorf("%d: %s", code, said)
	}
}

func TestATokenIsNotReadThroughALinkOrFromAFileThatOthersCanRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	file := filepath.Join(d.contexts.Dir, "desk.token")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, said := d.run(strings.NewReader(""), "project", "list"); code != 4 || !strings.Contains(said, "others can read") {
		t.Errorf("%d: %s", code, said)
	}
	elsewhere := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(elsewhere, []byte("planted"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, file); err != nil {
		t.Fatal(err)
	}
	if code, said := d.run(strings.NewReader(""), "project", "list"); code != 4 || !strings.Contains(said, "is a link") {
		t.Errorf("%d: %s", code, said)
	}
	if _, err := d.contexts.putToken("desk", storeFile, secret.FromString("new")); err != nil {
		t.Fatal(err)
	}
	if planted, _ := os.ReadFile(elsewhere); string(planted) != "planted" || d.read("desk.token") != "new" {
		t.Errorf("written through the link: %s", planted)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if len(d.fake.tokens) != 0 {
		t.Errorf("sent %v", d.fake.tokens)
	}
}

func TestAFolderThatOthersCanWriteToIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	if err := os.Chmod(d.contexts.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"project", "list"}, {"login"}, {"login", "--server", d.fake.URL}, {"logout"}, {"context", "list"}, {"context", "use", "desk"}} {
		if code, said := d.run(strings.NewReader(""), args...); code != 4 || !strings.Contains(said, "others can write") {
			t.Errorf("%v: %d: %s", args, code, said)
		}
	}
	if len(d.fake.tokens) != 0 {
		t.Errorf("sent %v", d.fake.tokens)
	}
}

func TestAContextsNameDoesNotLeaveItsFolder(t *testing.T) {
	t.Parallel()
	c := Contexts{filepath.Join(t.TempDir(), "contexts")}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", "a\x00b", "A", "-x"} {
		if _, err := c.Get(name); errs.KindOf(err) != wire.Invalid {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := c.putToken(name, storeFile, secret.FromString("x")); errs.KindOf(err) != wire.Invalid {
			t.Errorf("%q: %v", name, err)
		}
		if err := c.Put(name, Context{}); errs.KindOf(err) != wire.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	for server, want := range map[string]string{
		"https://bulkhead.example": "bulkhead.example", "https://127.0.0.1:8443": "127.0.0.1-8443", "https://[::1]:8443": "1-8443",
		"https://../..": "default", "https://": "default",
	} {
		if got := nameOf(server); got != want {
			t.Errorf("%s: %s, want %s", server, got, want)
		}
	}
}

func TestAQRCodeIsDrawnWhole(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := writeQR(&out, "https://bulkhead.example/device?user_code=BCDF-GHJK"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	width := len([]rune(lines[0]))
	for _, line := range lines {
		if len([]rune(line)) != width {
			t.Errorf("%q is not as wide as the others", line)
		}
	}
	if len(lines) < 15 || !strings.Contains(out.String(), "█▀▀▀▀▀█") {
		t.Errorf("no finder pattern in\n%s", out.String())
	}
}
