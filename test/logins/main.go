// Command logins measures logging in under a flood of wrong passwords, beside the router and honest people:
//
//	go run ./test/logins
//
// It promises that the server is the program that is shipped, in a process of its own with its defaults and a database of its
// own; that the flood and the probe of the router are processes of their own as well, so that neither waits for the other's
// work; that quiet and flooded rounds take turns, each flood over connections from addresses that have not failed yet; that a ratio is the median of
// those of neighbouring rounds; and that the exit code is 0 only if the goals are met.
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
}

func drive(ctx context.Context) error {
	var s settings
	flag.StringVar(&s.program, "bulkhead", "", "the program to measure; empty builds it")
	flag.IntVar(&s.rounds, "rounds", 3, "pairs of a quiet and a flooded round")
	flag.DurationVar(&s.lasts, "for", 12*time.Second, "how long a round lasts")
	flag.Parse()
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
	return report(os.Stdout, rounds)
}
