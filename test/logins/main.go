// Command logins measures logging in under a flood of wrong passwords, beside the router and honest people:
//
//	go run ./test/logins
//
// It promises that the server is the program that is shipped, in a process of its own with its defaults and a database of its
// own; that the flood has a process of its own which gives way to all others, as an attacker has a machine of his own, and that
// the measurement fails where it does not reach its rate; that the probe of the router has one of a raised priority, where that
// is permitted; that all of this and the honest people are there in every part of a round, whether the flood flows or not; that each flood comes from
// addresses that have not failed yet, and a share of it over connections that are new; that in a third part of each round the
// same flood goes to a bare server of net/http in a process beside the router, which shows what the machine itself adds; that the
// parts of a round come in one order and then in the other; that a ratio is the median of those of the rounds; and that the exit code is 0 only if the goals are met.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// The roles of this program's processes. The one without a name drives the others.
const (
	asFlood = "flood"
	asProbe = "probe"
	asBare  = "bare"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch role(os.Args) {
	case asFlood:
		err = flood(ctx, os.Stdin, os.Stdout)
	case asProbe:
		err = probe(ctx, os.Stdin, os.Stdout)
	case asBare:
		err = bare(os.Stdin, os.Stdout)
	default:
		err = drive(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "logins:", err)
		os.Exit(1) //nolint:gocritic // a signal's handler need not be undone
	}
}

func role(args []string) string {
	if len(args) == 2 {
		return args[1]
	}
	return ""
}

// settings are what one run is told.
type settings struct {
	program string
	rounds  int
	lasts   time.Duration
	fresh   int
}

// maxRounds is how many have addresses of their own.
const maxRounds = 70

func drive(ctx context.Context) error {
	var s settings
	flag.StringVar(&s.program, "bulkhead", "", "the program to measure; empty builds it")
	flag.IntVar(&s.rounds, "rounds", 6, "rounds of a quiet time, a flood of the server, and a flood of a bare one")
	flag.DurationVar(&s.lasts, "for", 8*time.Second, "how long each part of a round lasts")
	flag.IntVar(&s.fresh, "fresh", 20, "how many of the flood's requests a second come over a connection of their own")
	flag.Parse()
	if s.fresh < 0 || s.fresh > floodRate || s.rounds < 1 || s.rounds > maxRounds {
		return fmt.Errorf("want 1 to %d rounds, and 0 to %d fresh connections a second", maxRounds, floodRate)
	}
	dir, err := os.MkdirTemp("", "logins-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the database's account passes through
		return err
	}
	served, err := startServer(ctx, dir, s.program)
	if err != nil {
		return err
	}
	defer served.stop()
	rounds, err := measure(ctx, served, s)
	if err != nil {
		return err
	}
	return report(os.Stdout, s, rounds)
}
