package terminal

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// session is a shell that runs.
type session struct {
	client *ssh.Client
	shell  *ssh.Session
	in     io.Writer
	out    io.Reader
	aside  io.Reader // what the agent itself says to who has the shell
}

// environment is offered to the device, whose policy decides: the browser shows UTF-8 and all colours, whoever looks.
var environment = map[string]string{"LANG": "C.UTF-8", "COLORTERM": "truecolor"}

// start starts a shell in a terminal of the page's size.
func start(ctx context.Context, s Shell, first wire.TerminalMessage) (*session, error) {
	giveUp := context.AfterFunc(ctx, func() { _ = s.Stream.Reset() })
	defer giveUp()
	client, err := dial(s)
	if err != nil {
		return nil, err
	}
	shell, err := client.NewSession()
	if err != nil {
		_ = client.Close()
		return nil, refused(err)
	}
	started := &session{client: client, shell: shell}
	if err := started.begin(first); err != nil {
		started.close()
		return nil, refused(err)
	}
	return started, nil
}

func dial(s Shell) (*ssh.Client, error) {
	conn, channels, requests, err := ssh.NewClientConn(s.Stream, "", &ssh.ClientConfig{
		User: "bulkhead",
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			k, ok := key.(ssh.CryptoPublicKey)
			if !ok || subtle.ConstantTimeCompare([]byte(mux.FingerprintOf(k.CryptoPublicKey())), []byte(s.Device)) != 1 {
				return errOtherKey
			}
			return nil
		},
	})
	if err != nil {
		_ = s.Stream.Reset()
		return nil, refused(err)
	}
	return ssh.NewClient(conn, channels, requests), nil
}

var errOtherKey = errs.E(wire.Unauthenticated, "the shell has another key than the device: nothing was typed to it")

func refused(err error) error {
	if errors.Is(err, errOtherKey) {
		return errOtherKey
	}
	return errs.As(wire.Denied, err, "the device does not serve the shell: its policy may have no rule for it, or its user is not there; the agent's log says why")
}

func (s *session) begin(first wire.TerminalMessage) (err error) {
	for name, value := range environment {
		_ = s.shell.Setenv(name, value) // the device's policy may refuse it
	}
	if s.in, err = s.shell.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.shell.StdoutPipe(); err != nil {
		return err
	}
	if s.aside, err = s.shell.StderrPipe(); err != nil {
		return err
	}
	if err = s.shell.RequestPty("xterm-256color", first.Rows, first.Cols, ssh.TerminalModes{}); err != nil {
		return err
	}
	return s.shell.Shell()
}

// close breaks off whatever waits for the device.
func (s *session) close() { _ = s.client.Close() }

// ending is how a terminal ended.
type ending struct {
	Reason string // exit, or one of the reasons of tunnels, kinds of errors and "protocol"
	Code   int
	Text   string
}

// whyWithin is how long one looks for the reason of an end, before the page is told of it.
const whyWithin = 400 * time.Millisecond

// exited reports whether a shell has ended by itself.
func exited(err error) bool {
	var exit *ssh.ExitError
	return err == nil || errors.As(err, &exit)
}

// endingOf tells how a shell ended, by what waiting for it gave.
func endingOf(ctx context.Context, err error, why func(context.Context) string) ending {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return ending{Reason: "exit", Text: "The shell has ended."}
	case errors.As(err, &exit) && exit.Signal() != "":
		return ending{Reason: "exit", Code: exit.ExitStatus(), Text: fmt.Sprintf("The shell was ended by the signal %s.", name(exit.Signal()))}
	case errors.As(err, &exit):
		return ending{Reason: "exit", Code: exit.ExitStatus(), Text: fmt.Sprintf("The shell has ended with exit code %d.", exit.ExitStatus())}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), whyWithin)
	defer cancel()
	return ending{Reason: "tunnel", Text: sentence(why(ctx))}
}

// name is that of a signal, as far as it is one: a device may say anything.
func name(signal string) string {
	for _, c := range signal {
		if c < 'A' || c > 'Z' {
			return "that the device names"
		}
	}
	return signal[:min(len(signal), 10)]
}

func sentence(text string) string {
	if text == "" {
		return "The terminal has ended."
	}
	runes := []rune(text)
	if runes[0] >= 'a' && runes[0] <= 'z' {
		runes[0] += 'A' - 'a'
	}
	if last := runes[len(runes)-1]; last != '.' && last != '!' && last != '?' {
		runes = append(runes, '.')
	}
	return string(runes)
}
