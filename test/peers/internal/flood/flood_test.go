package flood

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"bulkhead/test/peers/internal/floor"
	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/scene"
)

// The test's own program is the process that floods.
const word = "flood-for-test"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == word {
		if err := Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func planAt(addr string) Plan {
	return Plan{Addr: addr, Load: load.PubSubPlan{Realm: scene.Main, Topic: "bench.event", Publishers: 1, Window: 4, Subscribers: 3}}
}

func TestAFloodOfAnotherProcessGivesWayAndIsCounted(t *testing.T) {
	t.Parallel()
	h, err := floor.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	f, err := Start(t.Context(), os.Args[0], word, planAt(server.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for published := int64(0); published == 0; { // the process gets time when nobody else wants it
		o, err := f.Run(0, 20*time.Millisecond)
		if err != nil || o.Delivered != o.Published || o.Lost != 0 || o.Generator <= 0 {
			t.Fatalf("%+v, %v", o, err)
		}
		published = o.Published
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", f.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		if attr, err := unix.SchedGetAttr(id, 0); err == nil && attr.Policy != unix.SCHED_IDLE {
			t.Errorf("thread %d has policy %d", id, attr.Policy)
		}
	}
}

func TestAFloodThatCannotJoinSaysWhy(t *testing.T) {
	t.Parallel()
	if f, err := Start(t.Context(), os.Args[0], word, planAt("127.0.0.1:1")); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v, %v", f, err)
	}
}

func TestAFloodIsToldInOrders(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "no plan", `{"Addr": 7}`} {
		if err := Main(strings.NewReader(in), new(bytes.Buffer)); err == nil {
			t.Errorf("%q was taken", in)
		}
	}
}
