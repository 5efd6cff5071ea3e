package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/core"
	"bulkhead/router/transport"
)

// asRouter is the environment variable that makes a process the router; it holds the folder of the certificate.
const asRouter = "BULKHEAD_SOAK_ROUTER"

// Limits of the router. They are narrower than the defaults, so that misbehaviour meets each of them often; dead peers are
// given up after three pingEvery.
const (
	pingEvery      = 4 * time.Second
	queueBytes     = 1 << 20
	messageBytes   = 4 << 20
	maxPatterns    = 3_000
	maxCalls       = 200
	perNetwork     = 200
	messagesPerSec = 2_000
)

func limits() transport.Limits {
	return transport.Limits{PingEvery: pingEvery, Queue: queueBytes, Message: messageBytes}
}

func quotas(k realms.Kind) core.Quotas {
	q := router.DefaultQuotas(k)
	q.Session = core.Limits{Subscriptions: maxPatterns, Registrations: 500, Calls: maxCalls, Testaments: 20, TestamentBytes: 64 << 10}
	q.AuthID.Sessions = 64
	return q
}

// routed is the router that the process runs.
type routed struct {
	router   *router.Router
	server   *http.Server
	listener net.Listener
	registry *prometheus.Registry
}

// serve runs the router until in ends. The first line on out is its address; then each line of in is a command, answered with
// a line.
func serve(in io.Reader, out io.Writer) error {
	r, err := newRouted(os.Getenv(asRouter))
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(r.listener) }()
	err = r.obey(in, json.NewEncoder(out))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	closing := r.router.Close(ctx)
	_ = r.server.Close()
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return errors.Join(err, closing)
}

func newRouted(folder string) (*routed, error) {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	r := &routed{registry: prometheus.NewRegistry()}
	var err error
	r.router, err = router.New(router.Config{
		Logger: log, Metrics: r.registry, Limits: limits(), Quotas: quotas,
		Rates: func(realms.Kind, realms.Role) router.Rate {
			return router.Rate{Messages: messagesPerSec, Bytes: 16 << 20}
		},
	})
	if err != nil {
		return nil, err
	}
	r.router.Apply(directory(true))
	r.server = transport.HTTPServer(r.router.Handler(), limits(), log)
	r.listener, err = r.listen(folder)
	return r, err
}

func (r *routed) listen(folder string) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(certificate(folder).Cert, certificate(folder).Key)
	if err != nil {
		return nil, errs.Wrap("certificate", err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	guard := transport.NewGuard(plain, transport.GuardLimits{PerNetwork: perNetwork}, r.router.Refused)
	return r.router.Front(guard, &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), nil
}

// Commands of the driver.
const (
	commandState  = "state"  // as it is
	commandRest   = "rest"   // after what is garbage was collected and given back
	commandAdd    = "add"    // the third realm
	commandRemove = "remove" // the third realm
	commandStacks = "stacks" // writes all goroutines to stderr
)

func (r *routed) obey(in io.Reader, out *json.Encoder) error {
	if err := out.Encode(greeting{Addr: r.listener.Addr().String()}); err != nil {
		return err
	}
	commands := bufio.NewScanner(in)
	for commands.Scan() {
		if err := r.do(commands.Text(), out); err != nil {
			return err
		}
	}
	return commands.Err()
}

func (r *routed) do(command string, out *json.Encoder) error {
	switch command {
	case commandState, commandRest:
	case commandAdd, commandRemove:
		started := time.Now()
		r.router.Apply(directory(command == commandAdd))
		return out.Encode(done{Took: time.Since(started)})
	case commandStacks:
		writeStacks(os.Stderr)
	default:
		return fmt.Errorf("no command is called %q", command)
	}
	state, err := r.state(command == commandRest)
	if err != nil {
		return err
	}
	return out.Encode(state)
}
