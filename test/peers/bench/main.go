// Command bench measures our router against nexusd and against a floor, and prints ratios.
//
// It promises that servers which are compared are measured in turns within the same minute, each as a process of its own;
// that it stays on the loopback interface; and that every process it started has ended when it ends, also when it is
// interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"bulkhead/test/peers/internal/flood"
	"bulkhead/test/peers/internal/report"
)

// The kernel ends a server when the thread that started it ends. The main thread lasts as long as the process.
func init() { runtime.LockOSThread() }

type options struct {
	run     *regexp.Regexp
	quick   bool
	check   bool
	from    string
	json    string
	page    string
	profile string
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == floodWord {
		floodHere()
		return
	}
	o, err := readOptions(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err = run(ctx, o); err != nil {
			err = errors.Join(err, ctx.Err()) // what failed because of the interrupt is not a failure
		}
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "interrupted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// floodHere is what the process does that floods.
func floodHere() {
	debug.SetGCPercent(400)
	if err := flood.Main(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

func readOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	pattern := flags.String("run", "", "only the measures whose name matches this regular expression")
	base := flags.String("C", "", "folder that the names of files below are relative to")
	flags.BoolVar(&o.quick, "quick", false, "short rounds: some 5 minutes, noisy")
	flags.BoolVar(&o.check, "check", false, "fail where a goal is missed")
	flags.StringVar(&o.json, "json", "", "write the outcome to this file")
	flags.StringVar(&o.page, "doc", "", "write the outcome as a page of documentation to this file")
	flags.StringVar(&o.from, "from", "", "measure nothing: take the outcome from this file, which -json wrote")
	flags.StringVar(&o.profile, "profile", "", "write CPU and heap profiles of our router to this folder, from rounds that do not count")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for _, name := range []*string{&o.json, &o.page, &o.from, &o.profile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(*base, *name)
		}
	}
	o.run, err = regexp.Compile(*pattern)
	return o, err
}

func run(ctx context.Context, o options) error {
	r, err := obtain(ctx, o)
	if r != nil {
		err = errors.Join(err, publish(r, o))
	}
	return err
}

// obtain measures, or reads what was measured before. With an error it may give what was measured up to then.
func obtain(ctx context.Context, o options) (*report.Report, error) {
	if o.from == "" {
		return measureAll(ctx, o)
	}
	r, err := report.Read(o.from)
	if err != nil {
		return nil, err
	}
	for _, m := range r.Measures {
		if err := m.Print(os.Stdout); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// measureAll leaves the generator little reason to collect garbage, which would show in others' latencies.
func measureAll(ctx context.Context, o options) (*report.Report, error) {
	debug.SetGCPercent(400)
	start := time.Now()
	b, err := newBench(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	ctx, cancel := context.WithTimeoutCause(ctx, b.size.limit, fmt.Errorf("it takes longer than %v: is the machine busy?", b.size.limit))
	defer cancel()
	err = b.runAll(ctx)
	b.report.Stamp(start, time.Now())
	return b.report, err
}

func publish(r *report.Report, o options) error {
	if o.json != "" {
		if err := r.Write(o.json); err != nil {
			return err
		}
	}
	if o.page != "" {
		if err := writePage(r, o.page); err != nil {
			return err
		}
	}
	return verdict(r, o.check)
}

func writePage(r *report.Report, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(r.Page(f), f.Close())
}

func verdict(r *report.Report, check bool) error {
	missed := r.Missed()
	for _, m := range missed {
		fmt.Println("missed:", m)
	}
	if check && len(missed) > 0 {
		return fmt.Errorf("%d goals are missed", len(missed))
	}
	return nil
}
