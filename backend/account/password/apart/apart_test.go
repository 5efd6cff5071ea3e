package apart_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/account/password"
	"bulkhead/backend/account/password/apart"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// What this program does in place of tests, by its only argument.
const (
	dies   = "die"   // when it was asked twice
	hangs  = "hang"  // and answers nothing
	serves = "serve" // as a server does, until it is killed
)

// serve has a process hash one password and tells so.
func serve() int {
	program, err := apart.Self()
	if err != nil {
		return 1
	}
	p := apart.New(program, []string{os.Args[0], apart.Command}, 1, slog.New(slog.DiscardHandler))
	apart.Hurry(p, time.Hour)
	if _, err := p.Derive(context.Background(), right, salt); err != nil {
		return 1
	}
	fmt.Println("hashed")
	select {}
}

func TestMain(m *testing.M) {
	switch {
	case slices.Equal(os.Args[1:], []string{apart.Command}):
		os.Exit(apart.Main(os.Stdin, os.Stdout))
	case slices.Equal(os.Args[1:], []string{dies}):
		one := io.LimitReader(os.Stdin, 2+password.SaltSize+int64(len(passphrase)))
		os.Exit(apart.Main(one, os.Stdout))
	case slices.Equal(os.Args[1:], []string{serves}):
		os.Exit(serve())
	case slices.Equal(os.Args[1:], []string{hangs}):
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const passphrase = "correct horse battery staple"

var (
	right = secret.FromString(passphrase)
	salt  = []byte("0123456789abcdef")
)

// told is a log that can be read while it is written.
type told struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *told) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *told) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newPool(t *testing.T, program string, args ...string) (*apart.Pool, *told) {
	t.Helper()
	log := &told{}
	p := apart.New(program, append([]string{"hasher"}, args...), 2, slog.New(slog.NewTextHandler(log, nil)))
	apart.Hurry(p, time.Hour) // however busy the machine is
	t.Cleanup(p.Close)
	return p, log
}

func self(t *testing.T) string {
	t.Helper()
	path, err := apart.Self()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func derive(t *testing.T, d password.Deriver, v secret.Value) []byte {
	t.Helper()
	key, err := d.Derive(t.Context(), v, salt)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAnotherProcessDerivesTheSameKey(t *testing.T) {
	t.Parallel()
	p, log := newPool(t, self(t), apart.Command)
	for _, v := range []secret.Value{right, {}, secret.FromString(strings.Repeat("long ", 300))} {
		if !bytes.Equal(derive(t, p, v), derive(t, password.Here{}, v)) {
			t.Error("another key")
		}
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if !bytes.Equal(derive(t, p, right), derive(t, password.Here{}, right)) {
				t.Error("another key")
			}
		})
	}
	all.Wait()
	if log.String() != "" {
		t.Error(log)
	}
}

// children are the processes of one that were started with an argument.
func children(t *testing.T, parent int, argument string) (pids []int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows its processes in files")
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes are shown: %v", err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
		if err != nil || !strings.HasSuffix(string(line), "\x00"+argument+"\x00") {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))); fields[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestAProcessThatDiesIsReplacedForTheNextOne(t *testing.T) {
	t.Parallel()
	p, log := newPool(t, self(t), dies)
	h := password.New(p)
	begin := func() error { _, err := h.Hash(t.Context(), password.Turn{}, right); return err }
	var kinds []wire.Kind
	for range 6 {
		kinds = append(kinds, errs.KindOf(begin()))
	}
	// Two take turns: each answers once, dies of the second, and another takes its place.
	want := []wire.Kind{"", "", wire.Unavailable, wire.Unavailable, "", ""}
	if !slices.Equal(kinds, want) {
		t.Errorf("%q, not %q", kinds, want)
	}
	if n := strings.Count(log.String(), "another takes its place"); n != 2 || strings.Contains(log.String(), "horse") {
		t.Error(log)
	}
}

func TestAProcessThatGetsNoTurnIsKilledAndTheServerHashes(t *testing.T) {
	t.Parallel()
	p, log := newPool(t, self(t), hangs)
	apart.Hurry(p, 50*time.Millisecond)
	if !bytes.Equal(derive(t, p, right), derive(t, password.Here{}, right)) {
		t.Error("another key")
	}
	if left := children(t, os.Getpid(), hangs); len(left) > 0 {
		t.Errorf("%d run", left)
	}
	if !strings.Contains(log.String(), "does not get to run") || strings.Contains(log.String(), "horse") {
		t.Error(log)
	}
}

func TestTheProcessEndsWithAServerThatIsKilled(t *testing.T) {
	t.Parallel()
	server := exec.Command(os.Args[0], serves)
	said, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	_, errSaid := io.ReadFull(said, make([]byte, len("hashed")))
	hashers := children(t, server.Process.Pid, apart.Command)
	if err := server.Process.Kill(); err != nil || errSaid != nil || len(hashers) != 1 {
		t.Fatalf("%v, %v, %d processes", err, errSaid, len(hashers))
	}
	_ = server.Wait() // killed
	for !ended(t, hashers[0]) {
		select {
		case <-t.Context().Done():
			t.Fatal("it runs on")
		case <-time.After(5 * time.Millisecond): // nobody tells of the end of another's child
		}
	}
}

// ended reports whether a process has ended, or only waits for somebody to ask how.
func ended(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(state, []byte("Z"))
}

func TestWhereNoProcessCanBeStartedTheServerHashesAndSaysSo(t *testing.T) {
	t.Parallel()
	for what, program := range map[string]string{"absent": filepath.Join(t.TempDir(), "absent"), "another": "/bin/false"} {
		p, log := newPool(t, program, apart.Command)
		if !bytes.Equal(derive(t, p, right), derive(t, password.Here{}, right)) {
			t.Errorf("%s: another key", what)
		}
		if !strings.Contains(log.String(), "no process can be started that hashes passwords") {
			t.Errorf("%s: %s", what, log)
		}
	}
}

func TestWhoAsksAfterTheEndIsRefused(t *testing.T) {
	t.Parallel()
	p, _ := newPool(t, self(t), apart.Command)
	derive(t, p, right)
	p.Close()
	p.Close() // twice is fine
	if _, err := p.Derive(t.Context(), right, salt); errs.KindOf(err) != wire.Unavailable {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Derive(gone, right, salt); err == nil {
		t.Error("derived")
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{0, 3, 1, 2, 3})
	f.Add([]byte{0xff, 0xff, 1})
	f.Add([]byte{0, 16, 1, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) >= 2+password.SaltSize {
			in = in[:2+password.SaltSize-1] // whole frames cost 40 ms each
		}
		var out bytes.Buffer
		if err := apart.Serve(bytes.NewReader(in), &out); err == nil && len(in) > 1 || out.Len() > 0 {
			t.Errorf("%x: %v, %x", in, err, out.Bytes())
		}
	})
}
