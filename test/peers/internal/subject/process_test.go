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

func TestProcessorTimeIsCountedFinerThanInTicks(t *testing.T) {
	t.Parallel()
	const tick = 10 * time.Millisecond
	before, err := OwnCPU()
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for after <= before {
		if after, err = OwnCPU(); err != nil {
			t.Fatal(err)
		}
	}
	if before%tick == 0 && after%tick == 0 {
		t.Errorf("from %v to %v", before, after)
	}
}

func TestProcessorTimeIsThatOfTheProcess(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	if err := p.start(t.Context(), os.Args[0], wordServe, p.Addr); err != nil {
		t.Fatal(err)
	}
	used, err := p.CPU()
	if err != nil || used <= 0 {
		t.Errorf("a server that has started has used %v, %v", used, err)
	}
	p.Stop()
	if used, err := p.CPU(); err == nil {
		t.Errorf("a process that is gone has used %v", used)
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
