package flood

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/test/peers/internal/load"
)

// Main is the process: it reads a plan and then orders, and answers each, until there are no more.
func Main(in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var p Plan
	if err := orders.Decode(&p); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	ps, err := open(p)
	if err := answers.Encode(Outcome{Failed: text(err)}); err != nil || ps == nil {
		return err
	}
	defer ps.Close()
	for {
		var o Order
		if err := orders.Decode(&o); err != nil {
			return ended(err)
		}
		if err := answers.Encode(p.fulfil(ps, o)); err != nil {
			return err
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("order: %w", err)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func open(p Plan) (*load.PubSub, error) {
	if err := giveWay(); err != nil {
		return nil, err
	}
	t := load.Target{Addr: p.Addr}
	if p.CA != "" {
		pem, err := os.ReadFile(p.CA)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		t.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
	}
	return load.NewPubSub(context.Background(), t, p.Load)
}

func (p Plan) fulfil(ps *load.PubSub, o Order) Outcome {
	ps.Pace(o.PerSecond)
	before := spent()
	r, err := ps.Run(context.Background(), o.For)
	return Outcome{
		Published: ps.Published() * int64(p.Load.Subscribers), Delivered: r.Ops, Lost: r.Lost, Refused: r.Refused,
		Disordered: r.Disordered, Elapsed: r.Elapsed, Generator: spent() - before, Failed: text(err),
	}
}

func spent() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// giveWay lets this process run only while nobody else wants to. Threads inherit it from the one that starts them, which may
// be one that had its turn only after: it ends when all have it.
func giveWay() error {
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	for changed := true; changed; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("give way: %w", err)
		}
		changed = false
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return fmt.Errorf("give way: %w", err)
			}
			had, err := unix.SchedGetAttr(id, 0)
			if errors.Is(err, unix.ESRCH) || err == nil && had.Policy == idle.Policy {
				continue // it has ended, or has it
			}
			if err := errors.Join(err, unix.SchedSetAttr(id, &idle, 0)); err != nil {
				return fmt.Errorf("give way: %w", err)
			}
			changed = true
		}
	}
	return nil
}
