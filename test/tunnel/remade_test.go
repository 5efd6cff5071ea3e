package tunnel

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestADeviceThatWasRemovedAndMadeAgainIsAnotherDevice(t *testing.T) {
	t.Parallel()
	old := newDevice(t, "kiln-1")
	p := open(t, nil, old.name, echo(t))
	if answer, err := p.ask("before"); answer != "before" || err != nil {
		t.Fatalf("%q, %v", answer, err)
	}
	c := p.dial()
	must[any](t, nil, "device", "delete", old.name)
	broken(t, c)
	p.unavailable("the right to it was taken, or the device was suspended")
	if e := ends(t, p.ID); e.After.Ended != "revoked" {
		t.Errorf("on record: %+v", e)
	}
	made := &device{t: t, world: shared, name: old.name, dir: t.TempDir()}
	made.flash = filepath.Join(made.dir, "flash")
	must[any](t, nil, "device", "create", "kiln-1", "--project", "plant-a", "--flash-file", made.flash)
	// The agent of the one before still runs, and is nobody any more.
	if _, told, code := shared.run(t, nil, "", "ssh", old.name, "true"); code != 6 {
		t.Errorf("the agent of the one before: exit code %d, %s", code, told)
	}
	made.start()
	told, code := "", 6
	for deadline := time.Now().Add(time.Minute); code == 6 && time.Now().Before(deadline); {
		_, told, code = shared.run(t, nil, "", "ssh", made.name, "true")
	}
	if code != 4 || !strings.Contains(told, made.name+" is another device than the one that had this name") {
		t.Errorf("exit code %d: %s", code, told)
	}
	must[any](t, nil, "tunnel", "forget", made.name)
	if out, told, code := shared.run(t, nil, "", "ssh", made.name, "echo again"); code != 0 || out != "again\n" || !strings.Contains(told, "met for the first time") {
		t.Errorf("%q, %q, %d", out, told, code)
	}
}
