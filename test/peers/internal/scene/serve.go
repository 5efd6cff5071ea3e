package scene

import (
	"context"
	"errors"
	"flag"
	"fmt"
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

// Serve serves h until an interrupt, then ends the process's connections with it.
func Serve(f Flags, h http.Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := &http.Server{Addr: f.Listen, Handler: h, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // it is over; nobody waits for a farewell
	var err error
	if f.Cert != "" {
		err = server.ListenAndServeTLS(f.Cert, f.Key)
	} else {
		err = server.ListenAndServe()
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}
