package tunnel

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"

	"bulkhead/internal/cast"
)

const (
	maxVariables = 64
	maxVariable  = 4 << 10
	// hangUp is how long a shell may take to end once its user is gone.
	hangUp = 2 * time.Second
)

// session is one shell or command.
type session struct {
	account account
	allowed []string // names of variables that may be set
	channel ssh.Channel

	env      []string
	terminal *terminal // nil: none was asked for
	process  *os.Process
	running  sync.WaitGroup

	record    begin // nil: it is not recorded
	input     bool  // what is typed is recorded, too
	recording recording
	refused   bool // it cannot be recorded
}

// terminal is what stands between a shell and its user.
type terminal struct {
	term   string
	size   pty.Winsize
	master *os.File // once it is started
}

// serve follows the requests until the session is over, and leaves no process of it.
func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	defer s.running.Wait()
	defer s.channel.Close() //nolint:errcheck // it is over
	ended := make(chan struct{})
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				s.hangUp(ended)
				return
			}
			ok = s.handle(r, ended)
			if r.WantReply {
				_ = r.Reply(ok, nil)
			}
		case <-ended:
			return
		case <-s.recording.failed():
			s.giveUp(ended)
			return
		case <-ctx.Done():
			s.hangUp(ended)
			return
		}
	}
}

// hangUp ends what runs: first as when a terminal is gone, then for certain.
func (s *session) hangUp(ended <-chan struct{}) {
	if s.process == nil {
		return
	}
	s.signal(syscall.SIGHUP)
	_ = s.channel.Close() // so that nothing waits for the user
	timer := time.NewTimer(hangUp)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		s.signal(syscall.SIGKILL)
		<-ended
	}
}

// signal tells all of the session's processes that did not leave its group.
func (s *session) signal(which syscall.Signal) { _ = syscall.Kill(-s.process.Pid, which) }

func (s *session) handle(r *ssh.Request, ended chan struct{}) bool {
	switch r.Type {
	case "env":
		return s.setVariable(r.Payload)
	case "pty-req":
		return s.askTerminal(r.Payload)
	case "window-change":
		return s.resize(r.Payload)
	case "signal":
		return s.passSignal(r.Payload)
	case "shell":
		return s.start("", ended)
	case "exec":
		var m struct{ Command string }
		return ssh.Unmarshal(r.Payload, &m) == nil && m.Command != "" && s.start(m.Command, ended)
	default:
		return false
	}
}

func (s *session) setVariable(payload []byte) bool {
	var m struct{ Name, Value string }
	if ssh.Unmarshal(payload, &m) != nil || !slices.Contains(s.allowed, m.Name) || s.process != nil ||
		len(s.env) >= maxVariables || len(m.Value) > maxVariable || strings.ContainsRune(m.Value, 0) {
		return false
	}
	s.env = append(s.env, m.Name+"="+m.Value)
	return true
}

func (s *session) askTerminal(payload []byte) bool {
	var m struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &m) != nil || s.process != nil || len(m.Term) > 64 || strings.ContainsAny(m.Term, "\x00/") {
		return false
	}
	s.terminal = &terminal{term: m.Term, size: sizeOf(m.Columns, m.Rows)}
	return true
}

func sizeOf(columns, rows uint32) pty.Winsize {
	return pty.Winsize{Cols: uint16(min(columns, 1<<15)), Rows: uint16(min(rows, 1<<15))}
}

func (s *session) resize(payload []byte) bool {
	var m struct{ Columns, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &m) != nil || s.terminal == nil || s.terminal.master == nil {
		return false
	}
	size := sizeOf(m.Columns, m.Rows)
	s.recording.resize(size)
	return pty.Setsize(s.terminal.master, &size) == nil
}

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

func (s *session) passSignal(payload []byte) bool {
	var m struct{ Name string }
	if ssh.Unmarshal(payload, &m) != nil || s.process == nil {
		return false
	}
	which, known := signals[m.Name]
	if known {
		s.signal(which)
	}
	return known
}

// start starts the shell, or a command in it, once.
func (s *session) start(command string, ended chan struct{}) bool {
	if s.process != nil || s.refused {
		return false
	}
	if err := s.beginRecording(command); err != nil {
		s.refuse(err, ended)
		return true // the request is answered, with why
	}
	c := s.command(command)
	keepDescriptors()
	finish, err := s.begin(c)
	if err != nil {
		_ = s.recording.finish()
		return false
	}
	s.process = c.Process
	s.running.Go(func() {
		defer close(ended)
		finish()
		if err := s.recording.finish(); err != nil {
			s.explain(err)
			return
		}
		s.tell(c)
	})
	return true
}

func (s *session) command(command string) *exec.Cmd {
	a := s.account
	c := &exec.Cmd{Path: a.shell, Args: []string{"-" + filepath.Base(a.shell)}, Dir: a.home, WaitDelay: hangUp}
	if command != "" {
		c.Args = []string{filepath.Base(a.shell), "-c", command}
	}
	if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
		c.Dir = "/"
	}
	c.Env = append([]string{
		"HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=" + a.shell,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}, s.env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.credential}
	return c
}

// begin starts the process; finish waits until it is over and all that it wrote is sent.
func (s *session) begin(c *exec.Cmd) (finish func(), err error) {
	if s.terminal != nil {
		return s.beginTerminal(c)
	}
	c.Stdout, c.Stderr = s.recording.tee(cast.Output, s.channel), s.recording.tee(cast.Output, s.channel.Stderr())
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	s.running.Go(func() { // ends with the channel
		_, _ = io.Copy(s.typed(in), s.channel)
		_ = in.Close()
	})
	return func() { _ = c.Wait() }, nil
}

func (s *session) beginTerminal(c *exec.Cmd) (finish func(), err error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer slave.Close() //nolint:errcheck // the shell has it
	if a := s.account.credential; a != nil {
		err = slave.Chown(int(a.Uid), int(a.Gid))
	}
	if err == nil {
		err = pty.Setsize(master, &s.terminal.size)
	}
	c.Env = append(c.Env, "TERM="+s.terminal.term)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr.Setctty = true
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	s.terminal.master = master
	s.running.Go(func() { _, _ = io.Copy(s.typed(master), s.channel) }) // ends with the channel
	shown := make(chan struct{})
	s.running.Go(func() {
		defer close(shown)
		_, _ = io.Copy(s.recording.tee(cast.Output, s.channel), master) // ends when nobody has the terminal any more
	})
	return func() {
		_ = c.Wait()
		timer := time.NewTimer(hangUp)
		defer timer.Stop()
		select {
		case <-shown:
		case <-timer.C: // something stays behind in the background
		}
		_ = master.Close()
	}, nil
}

// tell tells the other end how the process ended.
func (s *session) tell(c *exec.Cmd) {
	status, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		for name, which := range signals {
			if which == status.Signal() {
				_, _ = s.channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
					Name          string
					Core          bool
					Message, Lang string
				}{Name: name}))
				return
			}
		}
	}
	code := uint32(255)
	if n := c.ProcessState.ExitCode(); n >= 0 {
		code = uint32(n)
	}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
}
