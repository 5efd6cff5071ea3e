package slack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const asChild = "SLACK_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	Take()
	marked := slices.ContainsFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, taken) })
	name, _ := os.ReadFile("/proc/self/comm")
	fmt.Println(os.Getpid(), strings.TrimSpace(string(name)), of(), ofAnotherThread(), marked, strings.Join(os.Args[1:], " "))
}

// ofAnotherThread is what a thread has that the runtime has started.
func ofAnotherThread() time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got := make(chan time.Duration)
	go func() { got <- of() }() // not on this thread
	return <-got
}

// child gives what a process says that takes slack and is started with so much: its number and name first.
func child(t *testing.T, with time.Duration) (who, said string) {
	t.Helper()
	runtime.LockOSThread() // the child inherits from the thread that starts it
	defer runtime.UnlockOSThread()
	c := exec.CommandContext(t.Context(), os.Args[0], "two", "words")
	c.Env = append(os.Environ(), asChild+"=1")
	var out strings.Builder
	c.Stdout, c.Stderr = &out, os.Stderr
	if err := set(with); err != nil {
		t.Skip("this system has no slack: ", err)
	}
	err := c.Start()
	if err := set(usual); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(os.Args[0])
	who = fmt.Sprint(c.Process.Pid, " ", name[:min(len(name), 15)]) // the kernel keeps no more of it
	return who, out.String()
}

func TestAProcessThatTakesSlackHasItInAllThreadsAndIsTheSameOne(t *testing.T) {
	t.Parallel()
	who, said := child(t, usual)
	if want := fmt.Sprintln(who, Enough, Enough, false, "two words"); said != want {
		t.Errorf("it says %q, want %q", said, want)
	}
}

func TestTheSlackThatTheOperatorSetIsLeftAlone(t *testing.T) {
	t.Parallel()
	const own = 70 * time.Microsecond
	who, said := child(t, own)
	if want := fmt.Sprintln(who, own, own, false, "two words"); said != want {
		t.Errorf("it says %q, want %q", said, want)
	}
}
