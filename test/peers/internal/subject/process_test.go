package subject

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test's own program is the server: with these words it listens, or it fails.
const (
	wordServe = "serve-for-test"
	wordFail  = "fail-for-test"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == wordServe {
		l, err := net.Listen("tcp", os.Args[2])
		if err != nil {
			panic(err)
		}
		fmt.Println("listening")
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}
	if len(os.Args) > 1 && os.Args[1] == wordFail {
		fmt.Println("the reason why")
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func newProcess(t *testing.T) *Process {
	t.Helper()
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return &Process{Name: "server", Addr: addr, logFile: filepath.Join(t.TempDir(), "log")}
}

func TestAServerIsMeasuredAndStopped(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	if err := p.start(t.Context(), os.Args[0], wordServe, p.Addr); err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.Alive(); err != nil {
		t.Error(err)
	}
	if rss, err := p.Memory(); err != nil || rss < 1<<20 {
		t.Errorf("memory %d, %v", rss, err)
	}
	if _, err := p.CPU(); err != nil {
		t.Error(err)
	}
	p.Stop()
	p.Stop()
	if err := p.Alive(); err == nil || !strings.Contains(err.Error(), "listening") {
		t.Errorf("after Stop: %v", err)
	}
}

func TestAServerThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	if err := p.start(t.Context(), os.Args[0], wordFail); err == nil || !strings.Contains(err.Error(), "the reason why") {
		t.Errorf("start: %v", err)
	}
}

func TestAServerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := newProcess(t)
	if err := p.start(ctx, os.Args[0], wordServe, p.Addr); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		t.Error("it still runs")
		p.Stop()
	}
}

func TestProcessorTimeIsReadWhateverTheNameIs(t *testing.T) {
	t.Parallel()
	const rest = " S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0"
	for _, name := range []string{"(server)", "(a b)", "(:) S 9 9)"} {
		if got, err := parseStat([]byte("42 " + name + rest)); err != nil || got != 1750*time.Millisecond {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "42 (server)", "42 (server) S 1 2 3 4 5 6 7 8 9 10 x 25 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestOwnProcessorTimeGrows(t *testing.T) {
	t.Parallel()
	before, err := OwnCPU()
	if err != nil {
		t.Fatal(err)
	}
	for after := before; after <= before; {
		if after, err = OwnCPU(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResidentMemoryIsRead(t *testing.T) {
	t.Parallel()
	if got, err := parseStatm([]byte("900 250 12 1 0 5 0\n")); err != nil || got != 250*int64(os.Getpagesize()) {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "900", "900 x"} {
		if _, err := parseStatm([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
