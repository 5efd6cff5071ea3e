// Command server runs our router as other people's WAMP suites expect a router to be: realm1 is open to anonymous sessions and
// to a few users with well-known secrets, and some procedures answer in it. docs/conformance.md says how to run the suites.
//
// It promises to listen on this machine only, because everybody knows its secrets; and that it is the router as it ships, with
// its default limits: nothing is loosened for a suite.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "addresses of this machine for WebSocket and rawsocket, separated by commas; unix:PATH is one too")
	verbose := flag.Bool("v", false, "log every session")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := run(ctx, log, strings.Split(*listen, ",")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, log *slog.Logger, addresses []string) error {
	ports, err := listenAll(addresses)
	if err != nil {
		return err
	}
	s, err := newServer(log)
	if err != nil {
		return errors.Join(err, ports.close())
	}
	for _, l := range ports {
		fmt.Println("serving", realm, "at", l.Addr())
	}
	return s.serve(ctx, ports)
}
