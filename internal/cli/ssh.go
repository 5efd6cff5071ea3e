package cli

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// exitError ends the command with the code that a command on a device ended with.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// sentVariables are offered to the device, whose policy decides.
var sentVariables = []string{"LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "COLORTERM", "NO_COLOR"}

func (inv *invocation) sshCommand() *cobra.Command {
	var stdio, reason string
	var ttl time.Duration
	var terminal, record bool
	c := &cobra.Command{
		Use: "ssh DEVICE [COMMAND...]", Short: "A shell on a device, from its agent; or the way for OpenSSH to a device that runs its own", Args: arguments(1, -1),
		Example: "  bulkhead ssh plant-a/press-1\n  bulkhead ssh plant-a/press-1 uptime\n" +
			"  ssh -o ProxyCommand='bulkhead ssh plant-a/press-1 --stdio 127.0.0.1:22' operator@press-1",
	}
	c.Flags().SetInterspersed(true)
	c.Flags().StringVar(&stdio, "stdio", "", "connect standard input and output with HOST:PORT as the device sees it")
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	c.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it may last, at most 8h")
	c.Flags().BoolVarP(&terminal, "tty", "t", false, "a terminal for a command too")
	c.Flags().BoolVar(&record, "record", false, "have the device record what is shown; see bulkhead recording list")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := inv.asItIs(c); err != nil {
			return err
		}
		if stdio == "" {
			return inv.shell(c.Context(), args[0], strings.Join(args[1:], " "), terminal, httpapi.TerminalCreate{TTLSeconds: int64(ttl / time.Second), Reason: reason, Record: record})
		}
		if record {
			return usage(c, "--record: only shells can be recorded")
		}
		if len(args) > 1 {
			return usage(c, "--stdio takes no command")
		}
		target, err := wire.ParseTarget(stdio)
		if err != nil {
			return usage(c, "--stdio %v", err)
		}
		return inv.proxy(c.Context(), args[0], target, httpapi.TunnelCreate{Target: stdio, EndToEnd: true, TTLSeconds: int64(ttl / time.Second), Reason: reason})
	}
	return c
}

// proxy connects standard input and output with a target.
func (inv *invocation) proxy(ctx context.Context, device string, target wire.Target, body httpapi.TunnelCreate) error {
	p, err := inv.pass(ctx, device, "tunnels", target, body)
	if err != nil {
		return err
	}
	defer p.close(ctx)
	s, err := p.stream(ctx)
	if err != nil {
		return err
	}
	return inv.connect(ctx, s)
}

// connect connects standard input and output with a stream until that has ended. Where standard input cannot be read to its
// end, the stream is broken off, so that nobody takes what has come for the whole.
func (inv *invocation) connect(ctx context.Context, s mux.Stream) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	in := source{from: inv.In, failed: make(chan error, 1)}
	go func() { // a read of standard input ends with the process
		if in.feed(s) {
			_ = s.CloseWrite()
		} else {
			_ = s.Reset()
		}
	}()
	_, err := io.Copy(inv.Out, s)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return in.orFailed(errs.As(wire.Unavailable, err, "the connection broke off"))
}

// source is what is read until its end or until it fails, which is not the same.
type source struct {
	from   io.Reader
	failed chan error // has the error of reading where there was one
}

// feed writes what there is, and reports whether it has ended or nobody wants it any more.
func (s source) feed(to io.Writer) (whole bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := s.from.Read(buffer)
		if n > 0 {
			if _, errTo := to.Write(buffer[:n]); errTo != nil {
				return true
			}
		}
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			s.failed <- err
			return false
		}
	}
}

// orFailed gives the error of reading, or else another.
func (s source) orFailed(err error) error {
	select {
	case failed := <-s.failed:
		return errs.As(wire.Unavailable, failed, "standard input cannot be read to its end: what it goes to was broken off")
	default:
		return err
	}
}

// shell runs a shell or a command on a device.
func (inv *invocation) shell(ctx context.Context, device, command string, terminal bool, body httpapi.TerminalCreate) error {
	p, err := inv.pass(ctx, device, "terminals", wire.PTY, body)
	if err != nil {
		return err
	}
	defer p.close(ctx)
	if p.tunnel.Recorded && isTerminal(inv.Err) {
		fmt.Fprintln(inv.Err, "this shell is recorded")
	}
	s, err := p.stream(ctx)
	if err != nil {
		return err
	}
	conn, channels, requests, err := ssh.NewClientConn(s, "", &ssh.ClientConfig{User: "bulkhead", HostKeyCallback: sameKey(p.device), Timeout: 20 * time.Second})
	if err != nil {
		_ = s.Reset()
		return refusedShell(err)
	}
	client := ssh.NewClient(conn, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return refusedShell(err)
	}
	defer session.Close()
	return inv.attend(ctx, p, session, command, terminal)
}

func refusedShell(err error) error {
	return errs.As(wire.Denied, err, "the device does not serve the shell: its policy may have no rule for it, or its user is not there; the agent's log says why")
}

// sameKey accepts the key that the device has proved on the stream below.
func sameKey(fingerprint string) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if k, ok := key.(ssh.CryptoPublicKey); ok && subtle.ConstantTimeCompare([]byte(mux.FingerprintOf(k.CryptoPublicKey())), []byte(fingerprint)) == 1 {
			return nil
		}
		return errs.E(wire.Unauthenticated, "the shell has another key than the device")
	}
}

// attend connects the session with the terminal, or what stands in its place, until it is over.
func (inv *invocation) attend(ctx context.Context, p *passage, session *ssh.Session, command string, terminal bool) error {
	for _, name := range sentVariables {
		if value := lookup(inv.environ, name); value != "" {
			_ = session.Setenv(name, value) // the device's policy may refuse it
		}
	}
	session.Stdout, session.Stderr = inv.Out, inv.Err
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	restore, err := inv.takeTerminal(ctx, session, terminal, command == "")
	if err != nil {
		return refusedShell(err)
	}
	defer restore()
	if command == "" {
		err = session.Shell()
	} else {
		err = session.Start(command)
	}
	if err != nil {
		return refusedShell(err)
	}
	keys := source{from: inv.In, failed: make(chan error, 1)}
	go func() { // a read of standard input ends with the process
		if keys.feed(in) {
			_ = in.Close()
		} else {
			_ = session.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() {
		_ = session.Signal(ssh.SIGINT)
		_ = session.Close()
	})
	defer stop()
	err = session.Wait()
	if failed := keys.orFailed(nil); failed != nil {
		return failed
	}
	return ended(ctx, p, err)
}

// ended gives the exit code of what ran.
func ended(ctx context.Context, p *passage, err error) error {
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return &exitError{exit.ExitStatus()} // x/crypto/ssh adds 128 to a signal's number
	case errors.As(err, &missing):
		return p.explain(ctx)
	default:
		return errs.As(wire.Unavailable, err, "the shell broke off")
	}
}

// takeTerminal asks for a terminal at the device, where one is wanted or a shell is typed at one, and gives it the keys as
// they are typed.
func (inv *invocation) takeTerminal(ctx context.Context, session *ssh.Session, wanted, shell bool) (restore func(), err error) {
	in, ok := inv.In.(*os.File)
	here := ok && term.IsTerminal(int(in.Fd())) //nolint:gosec // a descriptor is small
	if !wanted && !(shell && here) {
		return func() {}, nil
	}
	width, height := 80, 24
	if here {
		if w, h, err := term.GetSize(int(in.Fd())); err == nil { //nolint:gosec // as above
			width, height = w, h
		}
	}
	name := lookup(inv.environ, "TERM")
	if name == "" {
		name = "dumb"
	}
	if err := session.RequestPty(name, height, width, ssh.TerminalModes{}); err != nil || !here {
		return func() {}, err
	}
	state, err := term.MakeRaw(int(in.Fd())) //nolint:gosec // as above
	if err != nil {
		return func() {}, nil // the keys come by the line
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	over := make(chan struct{})
	done := make(chan struct{})
	go func() { // restore waits for it
		defer close(done)
		for {
			select {
			case <-resized:
				if w, h, err := term.GetSize(int(in.Fd())); err == nil { //nolint:gosec // as above
					_ = session.WindowChange(h, w)
				}
			case <-over:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(resized)
		close(over)
		<-done
		_ = term.Restore(int(in.Fd()), state) //nolint:gosec // as above
	}, nil
}
