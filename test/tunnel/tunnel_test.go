package tunnel

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const press, oven = "plant-a/press-1", "plant-b/oven-1"

func TestATunnelForwardsManyStreamsAndEachEnd(t *testing.T) {
	t.Parallel()
	p := open(t, nil, press, echo(t))
	big := make([]byte, 2<<20)
	_, _ = rand.Read(big)
	var wg sync.WaitGroup
	for i := range 40 {
		question := fmt.Sprintf("question %d", i)
		if i == 0 {
			question = string(big)
		}
		if i == 1 {
			question = ""
		}
		wg.Go(func() {
			if answer, err := p.ask(question); err != nil || answer != question {
				t.Errorf("%d of %d bytes, %v", len(answer), len(question), err)
			}
		})
	}
	wg.Wait()
	if p.ID == "" {
		t.Error("the tunnel has no id")
	}
}

func TestAWebApplicationWorksThroughATunnel(t *testing.T) {
	t.Parallel()
	up := websocket.Upgrader{}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/socket":
			ws, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer ws.Close()
			for kind, text, err := ws.ReadMessage(); err == nil; kind, text, err = ws.ReadMessage() {
				_ = ws.WriteMessage(kind, text)
			}
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: first\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/upload":
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}
	}))
	defer app.Close()
	p := open(t, nil, press, strings.TrimPrefix(app.URL, "http://"))
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+p.Listen+"/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.WriteMessage(websocket.TextMessage, []byte("ping"))
	if _, text, err := ws.ReadMessage(); string(text) != "ping" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	response, err := http.Post("http://"+p.Listen+"/upload", "", bytes.NewReader(make([]byte, 20<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); string(text) != strconv.Itoa(20<<20) {
		t.Errorf("uploaded %s", text)
	}
	events, err := http.Get("http://" + p.Listen + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	first := make([]byte, 11)
	if _, err := io.ReadFull(events.Body, first); string(first) != "data: first" || err != nil {
		t.Errorf("%q, %v", first, err)
	}
}

// listens lists the listening TCP sockets of a process.
func listens(t *testing.T, pid int) (found []string) {
	t.Helper()
	inodes := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatal("the process is not there", err)
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:[") {
			inodes[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && inodes[f[9]] {
				found = append(found, f[1])
			}
		}
	}
	return found
}

func TestTheAgentListensOnNothingWhileATunnelIsOpen(t *testing.T) {
	t.Parallel()
	p := open(t, nil, press, echo(t))
	c := p.dial()
	_, _ = io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if len(listens(t, shared.ready.PIDs.Server)) == 0 {
		t.Fatal("the server listens, and this test does not see it")
	}
	if found := listens(t, shared.ready.PIDs.Agents[0]); len(found) > 0 {
		t.Errorf("the agent listens on %v", found)
	}
}

func TestWhatThePolicyDoesNotNameIsRefusedAndOnRecord(t *testing.T) {
	t.Parallel()
	for to, says := range map[string]string{
		"10.1.2.3:80": "no rule of the device's policy names 10.1.2.3:80", "169.254.169.254:80": "no rule", "127.0.0.2:80": "no rule",
	} {
		if _, told, code := shared.run(t, nil, "", "tunnel", "open", press, "--to", to); code != 4 || !strings.Contains(told, says) {
			t.Errorf("%s: exit code %d, %s", to, code, told)
		}
	}
	for _, to := range []string{"0x7f.1:80", "[::ffff:127.0.0.1]:80", "127.1:80"} {
		if _, _, code := shared.run(t, nil, "", "tunnel", "open", press, "--to", to); code != 2 {
			t.Errorf("%s: exit code %d", to, code)
		}
	}
	if !slices.ContainsFunc(entries(t, "plant-a", "tunnel.refuse"), func(e entry) bool { return e.After.Target == "10.1.2.3:80" && e.Outcome == "failed" }) {
		t.Error("the refusal is not on record")
	}
}

type entry struct {
	Sequence int64  `json:"sequence"`
	Action   string `json:"action"`
	Outcome  string `json:"outcome"`
	After    struct {
		Tunnel   string `json:"tunnel"`
		Target   string `json:"target"`
		Ended    string `json:"ended"`
		Sent     int64  `json:"sent"`
		Received int64  `json:"received"`
		Last     int    `json:"last"`
		Duration string `json:"duration"`
	} `json:"after"`
}

func entries(t *testing.T, project, action string) []entry {
	t.Helper()
	return must[[]entry](t, nil, "audit", "list", "--project", project, "--action", action, "--limit", "200")
}

func TestEachStepOfATunnelIsOnRecordInOrder(t *testing.T) {
	t.Parallel()
	target := echo(t)
	p := open(t, nil, press, target, "--reason", "to see it on record")
	for range 3 {
		if _, err := p.ask("four"); err != nil {
			t.Fatal(err)
		}
	}
	p.stop()
	if err := p.wait(); err != nil {
		t.Errorf("Ctrl-C is how one ends it: %v\n%s", err, p.told)
	}
	var found []entry
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		found = slices.DeleteFunc(entries(t, "plant-a", "tunnel"), func(e entry) bool { return e.After.Tunnel != p.ID })
		if len(found) > 0 && found[0].Action == "tunnel.close" {
			break
		}
	}
	slices.Reverse(found)
	var actions []string
	for _, e := range found {
		actions = append(actions, e.Action)
		if e.After.Target != target {
			t.Errorf("%s: target %s", e.Action, e.After.Target)
		}
	}
	actions = slices.Compact(actions)
	if got := strings.Join(actions, " "); got != "tunnel.request tunnel.grant tunnel.open tunnel.stream tunnel.close" {
		t.Errorf("on record: %s", got)
	}
	last := found[len(found)-1].After
	if last.Ended == "" || last.Duration == "" || last.Sent == 0 || last.Received == 0 {
		t.Errorf("the end tells %+v", last)
	}
}

// keyOf makes a service account with privileges on an asset and gives the file of its API key, and the key's id.
func keyOf(t *testing.T, name, project, flags, asset string) (file, id string) {
	t.Helper()
	must[struct{}](t, nil, "service-account", "create", name)
	must[any](t, nil, "member", "add", project, name)
	must[any](t, nil, "privilege", "grant", name, flags, asset)
	args := []string{"apikey", "create", name, "--service-account", name}
	for _, scope := range append(strings.Split(flags, ","), "project.read", "device.read") {
		args = append(args, "--scope", scope)
	}
	made := must[struct {
		APIKey struct{ ID string } `json:"apikey"`
		Key    string              `json:"key"`
	}](t, nil, args...)
	file = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(made.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, made.APIKey.ID
}

func TestARevokeEndsTheTunnelAtOnce(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(who, key, tunnel string){
		"the API key":   func(_, key, _ string) { must[any](t, nil, "apikey", "revoke", key) },
		"the privilege": func(who, _, _ string) { must[any](t, nil, "privilege", "revoke", who, "device.tunnel", press) },
		"the tunnel":    func(_, _, tunnel string) { must[any](t, nil, "tunnel", "close", tunnel) },
	} {
		who := "ender-" + strconv.Itoa(len(name))
		file, id := keyOf(t, who, "plant-a", "device.read,device.tunnel", press)
		p := open(t, &file, press, echo(t))
		c := p.dial()
		_, _ = io.WriteString(c, "x")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		end(who, id, p.ID)
		broken(t, c)
		var exit *exec.ExitError
		if err := p.wait(); !errors.As(err, &exit) || exit.ExitCode() != 6 {
			t.Errorf("%s: the command ends with %v: %s", name, err, p.told)
		}
	}
}

func TestWhoMayNotOpenTunnelsOpensNone(t *testing.T) {
	t.Parallel()
	reader, _ := keyOf(t, "reader", "plant-a", "device.read", press)
	if _, told, code := shared.run(t, &reader, "", "tunnel", "open", press, "--to", "127.0.0.1:80"); code != 4 {
		t.Errorf("exit code %d: %s", code, told)
	}
	forwarder, _ := keyOf(t, "forwarder", "plant-a", "device.read,device.tunnel", press)
	if _, told, code := shared.run(t, &forwarder, "", "ssh", press, "true"); code != 4 {
		t.Errorf("a shell without device.terminal: exit code %d: %s", code, told)
	}
	if _, told, code := shared.run(t, &forwarder, "", "tunnel", "open", oven, "--to", "127.0.0.1:80"); code != 3 {
		t.Errorf("a device of another project: exit code %d: %s", code, told)
	}
}

func TestAProjectCanAskForTheApprovalOfAnother(t *testing.T) {
	t.Parallel()
	must[any](t, nil, "tunnel", "policy", "set", "plant-b", "--approval=true")
	program, _ := keyOf(t, "program", "plant-b", "device.read,device.tunnel", oven)
	approver := newPerson(t, "approver", "plant-b", "device.read,device.tunnel", oven)
	target := echo(t)
	opened := make(chan *passage, 1)
	go func() { opened <- open(t, nil, oven, target) }()
	var waiting []struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	for deadline := time.Now().Add(time.Minute); len(waiting) == 0 && time.Now().Before(deadline); {
		waiting = must[[]struct {
			ID    string `json:"id"`
			State string `json:"state"`
		}](t, nil, "tunnel", "list", "--project", "plant-b")
	}
	if len(waiting) != 1 || waiting[0].State != "requested" {
		t.Fatalf("waiting: %+v", waiting)
	}
	if _, told, code := shared.run(t, nil, "", "tunnel", "approve", waiting[0].ID); code != 4 || !strings.Contains(told, "nobody approves their own") {
		t.Errorf("one's own: exit code %d, %s", code, told)
	}
	if _, told, code := shared.run(t, &program, "", "tunnel", "approve", waiting[0].ID); code != 4 || !strings.Contains(told, "a person approves") {
		t.Errorf("a program: exit code %d, %s", code, told)
	}
	if told, code := approver.run("tunnel", "approve", waiting[0].ID); code != 0 {
		t.Errorf("exit code %d, %s", code, told)
	}
	p := <-opened
	if answer, err := p.ask("approved"); answer != "approved" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	if told, code := approver.run("tunnel", "approve", waiting[0].ID); code != 5 {
		t.Errorf("approved twice: exit code %d, %s", code, told)
	}
}

func TestAShellGivesBackWhatItsCommandDoes(t *testing.T) {
	t.Parallel()
	out, told, code := shared.run(t, nil, "typed", "ssh", press, "--", "cat; echo out; echo err >&2; exit 7")
	if out != "typedout\n" || !strings.Contains(told, "err\n") || code != 7 {
		t.Errorf("%q, %q, %d", out, told, code)
	}
	if _, _, code := shared.run(t, nil, "", "ssh", press, "kill -TERM $$"); code != 128+15 {
		t.Errorf("a signal: exit code %d", code)
	}
	if out, _, _ := shared.run(t, nil, "", "ssh", press, "-t", "stty size; test -t 0 && echo terminal"); !strings.Contains(out, "24 80") || !strings.Contains(out, "terminal") {
		t.Errorf("with a terminal: %q", out)
	}
	if out, _, code := shared.run(t, nil, "echo $((40+2))\nexit 5\n", "ssh", press); !strings.Contains(out, "42") || code != 5 {
		t.Errorf("a shell: %q, %d", out, code)
	}
	if out, _, _ := shared.run(t, nil, "", "ssh", press, "head -c 5000000 /dev/zero | wc -c"); strings.TrimSpace(out) != "5000000" {
		t.Errorf("got %q", out)
	}
}

func TestOpenSSHReachesADevicesOwnServer(t *testing.T) {
	t.Parallel()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Fatal("this test needs a real sshd: apt-get install openssh-server openssh-client")
	}
	dir := t.TempDir()
	for _, name := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	public, err := os.ReadFile(filepath.Join(dir, "user.pub"))
	if err != nil {
		t.Fatal(err)
	}
	authorized := filepath.Join(dir, "authorized")
	if err := os.WriteFile(authorized, public, 0o600); err != nil {
		t.Fatal(err)
	}
	address := free(t)
	_ = os.MkdirAll("/run/sshd", 0o755) //nolint:gosec // as the package makes it
	host, port, _ := strings.Cut(address, ":")
	server := exec.Command(sshd, "-D", "-e", "-f", "/dev/null", "-h", filepath.Join(dir, "host"), "-p", port, "-o", "ListenAddress="+host,
		"-o", "AuthorizedKeysFile="+authorized, "-o", "StrictModes=no", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes")
	var log lines
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	await(t, address)
	proxy := filepath.Join(shared.programs, "bulkhead") + " ssh " + press + " --stdio " + address
	c := exec.Command("ssh", "-F", "/dev/null", "-i", filepath.Join(dir, "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "BatchMode=yes", "-o", "ProxyCommand="+proxy, "press-1", "cat; exit 9")
	c.Env = append(os.Environ(), "BULKHEAD_CONTEXT_DIR="+filepath.Join(shared.root, "contexts"))
	c.Stdin = strings.NewReader("through the device")
	var out, told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	err = c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 9 || out.String() != "through the device" {
		t.Errorf("%v, %q\n%s\n%s", err, out.String(), told.String(), log.String())
	}
}

func TestADeviceWithAnotherKeyIsNotTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	context, err := os.ReadFile(filepath.Join(shared.root, "contexts", "dev.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	device := shared.ready.Projects[0].Devices[0].Key
	own := regexp.MustCompile(`(?m)^seen:.*\n`).ReplaceAll(context, nil) // so that what was seen is in this folder
	for name, text := range map[string]string{
		"dev.yaml": string(own), "current": "dev\n",
		"known_devices": fmt.Sprintf(`{%q: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`, shared.ready.API+" "+device.String()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, int) {
		c := shared.command(t.Context(), nil, args...)
		c.Env = append(c.Env, "BULKHEAD_CONTEXT_DIR="+dir)
		told, _ := c.CombinedOutput()
		return string(told), c.ProcessState.ExitCode()
	}
	told, code := run("ssh", press, "true")
	if code != 4 || !strings.Contains(told, "the key of "+press+" has changed") || !strings.Contains(told, "bulkhead tunnel forget "+press) {
		t.Errorf("exit code %d\n%s", code, told)
	}
	if told, code := run("tunnel", "forget", press); code != 0 {
		t.Errorf("exit code %d\n%s", code, told)
	}
	if told, code := run("ssh", press, "true"); code != 0 || !strings.Contains(told, "met for the first time") {
		t.Errorf("exit code %d\n%s", code, told)
	}
}

func TestATunnelOutlivesASecondOfSilenceAndEndsWithItsAgent(t *testing.T) {
	t.Parallel()
	flash := filepath.Join(t.TempDir(), "lathe-1.flash")
	must[any](t, nil, "device", "create", "lathe-1", "--project", "plant-a", "--flash-file", flash)
	agent := exec.Command(filepath.Join(shared.programs, "bulkhead-agent"), "run", "--flash-file", flash, "--state-dir", filepath.Join(t.TempDir(), "state"),
		"--policy-file", filepath.Join(shared.root, "state", "agent-policy.yaml"))
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
	target := echo(t)
	for deadline := time.Now().Add(time.Minute); ; { // until it is there
		if _, _, code := shared.run(t, nil, "", "ssh", "plant-a/lathe-1", "true"); code == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the device does not come")
		}
	}
	p := open(t, nil, "plant-a/lathe-1", target)
	c := p.dial()
	silent := time.NewTimer(time.Second)
	_ = agent.Process.Signal(syscall.SIGSTOP)
	_, _ = io.WriteString(c, "after the silence")
	<-silent.C
	_ = agent.Process.Signal(syscall.SIGCONT)
	got := make([]byte, 17)
	if _, err := io.ReadFull(c, got); string(got) != "after the silence" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = agent.Process.Kill()
	broken(t, c)
	if err := p.wait(); err == nil || !strings.Contains(p.told.String(), "the device has gone") {
		t.Errorf("%v: %s", err, p.told)
	}
	if _, told, code := shared.run(t, nil, "", "tunnel", "open", "plant-a/lathe-1", "--to", target); code != 6 {
		t.Errorf("a device that is away: exit code %d, %s", code, told)
	}
}

func TestASuspendedDeviceLosesItsTunnelsAtOnce(t *testing.T) {
	t.Parallel()
	flash := filepath.Join(t.TempDir(), "mill-1.flash")
	must[any](t, nil, "device", "create", "mill-1", "--project", "plant-a", "--flash-file", flash)
	agent := exec.Command(filepath.Join(shared.programs, "bulkhead-agent"), "run", "--flash-file", flash, "--state-dir", filepath.Join(t.TempDir(), "state"),
		"--policy-file", filepath.Join(shared.root, "state", "agent-policy.yaml"))
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
	for deadline := time.Now().Add(time.Minute); ; {
		if _, _, code := shared.run(t, nil, "", "ssh", "plant-a/mill-1", "true"); code == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the device does not come")
		}
	}
	p := open(t, nil, "plant-a/mill-1", echo(t))
	c := p.dial()
	_, _ = io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	must[any](t, nil, "device", "suspend", "plant-a/mill-1")
	broken(t, c)
}

// free gives an address on the loopback that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// await waits until something listens.
func await(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		response, err := http.Get("http://" + address) // an sshd answers something that is no HTTP
		if err == nil {
			_ = response.Body.Close()
			return
		}
		if !strings.Contains(err.Error(), "refused") {
			return
		}
	}
	t.Fatal("nothing listens on " + address)
}
