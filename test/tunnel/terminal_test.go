package tunnel

import (
	"net"
	"testing"
	"time"

	"github.com/creack/pty"
)

func TestATunnelAtATerminalShowsWhatGoesThroughAndIsExtended(t *testing.T) {
	t.Parallel()
	target, listen := echo(t), free(t)
	at := attend(t, "tunnel", "open", press, "--to", target, "--listen", listen, "--ttl", "10m")
	at.await(t, listen)
	at.await(t, "s left  Ctrl-C ends it")
	c, err := net.Dial("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at.await(t, "1 open  up ")
	type row struct {
		ID      string    `json:"id"`
		Target  string    `json:"target"`
		Expires time.Time `json:"expires_at"`
	}
	find := func() row {
		t.Helper()
		for _, one := range must[[]row](t, nil, "tunnel", "list", "--project", "plant-a") {
			if one.Target == target {
				return one
			}
		}
		t.Fatal("the tunnel is not listed")
		return row{}
	}
	before := find()
	must[any](t, nil, "tunnel", "extend", before.ID, "--ttl", "2h")
	if after := find(); after.Expires.Sub(before.Expires) < 100*time.Minute {
		t.Errorf("it lasts until %s, before %s", after.Expires, before.Expires)
	}
	if _, err := at.at.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if err := at.command.Wait(); err != nil {
		t.Errorf("%v: %q", err, at.shown)
	}
	if e := ends(t, before.ID); e.After.Ended == "" {
		t.Errorf("on record: %+v", e)
	}
}

func TestAShellKnowsTheSizeOfItsTerminalWhenThatChanges(t *testing.T) {
	t.Parallel()
	at := attend(t, "ssh", press)
	if _, err := at.at.WriteString("while [ \"$(stty size)\" != '30 100' ]; do :; done; echo st$((1))arted; while [ \"$(stty size)\" != '40 120' ]; do :; done; echo re$((1))sized; exit 4\n"); err != nil {
		t.Fatal(err)
	}
	at.await(t, "st1arted")
	if err := pty.Setsize(at.at, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	at.await(t, "re1sized")
	if err := at.command.Wait(); err == nil || at.command.ProcessState.ExitCode() != 4 {
		t.Errorf("%v: %q", err, at.shown)
	}
}
