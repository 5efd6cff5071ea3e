package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
)

const passphrase = "correct horse battery staple"

// served is the server's process, and how to reach it.
type served struct {
	cmd *exec.Cmd
	place
	key string // of the first owner
}

// place is what every process is told of the server.
type place struct {
	API string `json:"api"`
	CA  []byte `json:"ca"`
}

var greeting = regexp.MustCompile(`bulkhead serves (\S+);`)

// startServer runs the program with its defaults, and a database of its own, below dir.
func startServer(ctx context.Context, dir, program string) (*served, error) {
	if program == "" {
		program = filepath.Join(dir, "bulkhead")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "bulkhead/cmd/bulkhead").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build: %w: %s", err, out)
		}
	}
	state, file := filepath.Join(dir, "state"), filepath.Join(dir, "bulkhead.yaml")
	config := fmt.Sprintf("listen: 127.0.0.1:0\nops_listen: 127.0.0.1:0\nstate_dir: %s\nlog: {level: error}\n", state)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	s := &served{cmd: exec.Command(program, "serve", "-c", file)}
	if err := s.start(); err != nil {
		return nil, err
	}
	ca, errCA := os.ReadFile(filepath.Join(state, "tls", "ca.pem"))
	key, errKey := os.ReadFile(filepath.Join(state, "owner.key"))
	s.CA, s.key = ca, strings.TrimSpace(string(key))
	return s, errors.Join(errCA, errKey)
}

func (s *served) start() error {
	said, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if found := greeting.FindStringSubmatch(lines.Text()); found != nil {
			s.API = found[1]
			go func() { _, _ = io.Copy(os.Stderr, said) }() // ends with the process
			return nil
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	return errors.Join(errors.New("the server did not start"), s.cmd.Wait())
}

func (s *served) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// tls trusts the server alone.
func (p place) tls() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.CA)
	return &tls.Config{RootCAs: roots}
}

// clientFrom is a client that comes from an address of this machine, and keeps a connection or opens one for each request.
func clientFrom(address string, config *tls.Config, keeps bool) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: dialer.DialContext, Proxy: nil, DisableKeepAlives: !keeps}}
}

func (p place) send(ctx context.Context, client *http.Client, method, token, path string, body, out any) (status int, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, method, p.API+httpapi.Prefix+path, bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && out != nil && answer.StatusCode < 300 {
		err = json.Unmarshal(text, out)
	}
	return answer.StatusCode, err
}

// ask sends what must not be refused.
func ask[Out any](ctx context.Context, s *served, token, path string, body any) (out Out, err error) {
	status, err := s.send(ctx, clientFrom("127.0.0.1", s.tls(), false), http.MethodPost, token, path, body, &out)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s: status %d", path, status)
	}
	return out, err
}

func (s *served) user(ctx context.Context, name string) error {
	_, err := ask[httpapi.User](ctx, s, s.key, "/users", httpapi.UserCreate{Login: name, Password: passphrase, Owner: true})
	return err
}

// ticket opens one session in the device realm of a project, for somebody who has logged in with both factors.
func (s *served) ticket(ctx context.Context) (ticket httpapi.Ticket, err error) {
	if err := s.user(ctx, "owner"); err != nil {
		return ticket, err
	}
	first, err := ask[httpapi.LoginToken](ctx, s, "", "/login", httpapi.LoginCreate{Name: "owner", Password: passphrase})
	if err != nil {
		return ticket, err
	}
	e, err := ask[httpapi.EnrolmentSecret](ctx, s, first.Token, "/login/enrolment", nil)
	if err != nil {
		return ticket, err
	}
	code, err := factor.Stored(secret.FromString(e.Secret)).Code(factor.Step(time.Now()))
	if err != nil {
		return ticket, err
	}
	both, err := ask[httpapi.EnrolmentDone](ctx, s, first.Token, "/login/enrolment/confirm", httpapi.FactorCode{Code: code})
	if err != nil {
		return ticket, err
	}
	p, err := ask[httpapi.Project](ctx, s, both.Token, "/projects", httpapi.ProjectCreate{Name: "plant-a"})
	if err != nil {
		return ticket, err
	}
	return ask[httpapi.Ticket](ctx, s, both.Token, "/realms/"+p.DeviceRealm+"/ticket", nil)
}
