// Command tunnelbench measures our tunnels against ssh -R, and against chisel and frp where CHISEL_BIN, FRPC_BIN and FRPS_BIN
// name their programs, and prints ratios.
//
// It promises that what is compared is measured in turns, each part as a process of its own whose time the kernel tells;
// that slow links are real ones to the kernel, made of two TUN devices between two network namespaces; that nothing leaves
// the machine; and that every process it started ends with it.
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
)

// The kernel ends a child when the thread that started it ends. The main thread lasts as long as the process.
func init() { runtime.LockOSThread() }

type options struct {
	run   *regexp.Regexp
	quick bool
	json  string
	page  string
	from  string
}

func main() {
	if len(os.Args) > 1 {
		if part := parts[os.Args[1]]; part != nil {
			exit(part(os.Args[2:]))
		}
	}
	o, err := readOptions(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	exit(err)
}

func exit(err error) {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "tunnelbench:", err)
		os.Exit(1)
	}
}

func readOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("tunnelbench", flag.ContinueOnError)
	pattern := flags.String("run", "", "only the measures whose name matches this regular expression")
	base := flags.String("C", "", "folder that the names of files below are relative to")
	flags.BoolVar(&o.quick, "quick", false, "short rounds, noisy")
	flags.StringVar(&o.json, "json", "", "write the outcome to this file, beside what it holds of other measures")
	flags.StringVar(&o.page, "doc", "", "write the outcome as a page of documentation to this file")
	flags.StringVar(&o.from, "from", "", "measure nothing: take the outcome from this file, which -json wrote")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for _, name := range []*string{&o.json, &o.page, &o.from} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(*base, *name)
		}
	}
	o.run, err = regexp.Compile(*pattern)
	return o, err
}

func run(ctx context.Context, o options) error {
	debug.SetGCPercent(400)
	if o.from != "" {
		out, err := readOutcome(o.from)
		if err != nil {
			return err
		}
		out.print(os.Stdout)
		return out.publish(o)
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	err = b.measureAll(ctx)
	return errors.Join(err, b.out.publish(o))
}
