// Command soak runs a router for minutes with honest clients beside misbehaving ones, and tells whether it held:
//
//	go run ./test/soak -for 10m
//
// It promises that the router runs in a process of its own, behind its guard and over TLS, with nothing added but what
// measures it; that 20 honest clients in two realms account for every message that was acknowledged to them; that each
// kind of misbehaviour has a verdict of its own, by which the router fails; that the process is measured at rest before and
// after, with the same honest clients joined; that the same seed gives the same choices, though not the same timing; and that
// the exit code is 0 only if all of it held.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"
)

func main() {
	if os.Getenv(asRouter) != "" {
		os.Exit(serveAndReport())
	}
	os.Exit(driveAndReport())
}

func serveAndReport() int {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "router:", err)
		return 1
	}
	return 0
}

func driveAndReport() int {
	s := settings{talk: os.Stderr}
	flag.DurationVar(&s.lasts, "for", 10*time.Minute, "how long the misbehaving clients are at it between the two measurements")
	flag.Uint64Var(&s.seed, "seed", 0, "seed of all choices; 0 draws one")
	flag.DurationVar(&s.warmUp, "warm-up", 0, "how long they are at it before the first measurement; 0: a tenth of -for, at least 15s")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := soak(ctx, s.withDefaults())
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	}
	report.print(os.Stdout)
	if !report.held() {
		return 1
	}
	return 0
}

// settings are what one soak is told.
type settings struct {
	lasts, warmUp time.Duration
	seed          uint64
	talk          io.Writer // gets a line now and then
}

func (s settings) withDefaults() settings {
	if s.seed == 0 {
		s.seed = rand.Uint64()>>1 | 1 //nolint:gosec // choices, not secrets
	}
	if s.warmUp == 0 {
		s.warmUp = max(15*time.Second, s.lasts/10)
	}
	return s
}
