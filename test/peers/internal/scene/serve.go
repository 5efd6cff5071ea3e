package scene

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"
)

// Flags are what every server under test is told.
type Flags struct{ Listen, Cert, Key, Profile string }

// ReadFlags declares the flags and reads the command line.
func ReadFlags() Flags {
	var f Flags
	flag.StringVar(&f.Listen, "listen", "", "address to listen on")
	flag.StringVar(&f.Cert, "cert", "", "certificate; without one, there is no TLS")
	flag.StringVar(&f.Key, "key", "", "its private key")
	flag.StringVar(&f.Profile, "pprof", "", "address of the profiler; without one, there is none")
	flag.Parse()
	return f
}

// Serve serves h until an interrupt.
func Serve(f Flags, h http.Handler) error {
	l, err := Listen(f)
	if err != nil {
		return err
	}
	return Run(&http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}, l)
}

// Listen listens as the flags say.
func Listen(f Flags) (net.Listener, error) {
	plain, config, err := f.Open(func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) })
	if err != nil || config == nil {
		return plain, err
	}
	return tls.NewListener(plain, config), nil
}

// Open gives a plain listener, which it makes by listen, and with what to make TLS of its connections: nil for nothing.
func (f Flags) Open(listen func(addr string) (net.Listener, error)) (net.Listener, *tls.Config, error) {
	plain, err := listen(f.Listen)
	if err != nil || f.Cert == "" {
		return plain, nil, err
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, nil, errors.Join(err, plain.Close())
	}
	return plain, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

// Run runs a server until an interrupt, then ends its connections: nobody waits for a farewell.
func Run(server *http.Server, l net.Listener) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
