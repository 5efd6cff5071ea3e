package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"bulkhead/backend/httpapi"
)

// The goals.
const (
	ratioAtMost = 2.0
	loginWithin = 3 * time.Second
)

// honestAt are the moments of a flooded round at which honest people log in: from its first second on.
var honestAt = []time.Duration{
	100 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond, time.Second, 1500 * time.Millisecond,
	2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second,
}

// login is one honest person's.
type login struct {
	known bool // has logged in from here before
	took  time.Duration
	ok    bool
}

// round is a quiet time and a flood.
type round struct {
	quiet, loaded       latencies
	flood               flooded
	logins              []login
	quietCPU, loadedCPU time.Duration
}

func (r round) ratio() float64 { return float64(r.loaded.P99) / float64(r.quiet.P99) }

func measure(ctx context.Context, s *served, o settings) (all []round, err error) {
	ticket, err := s.ticket(ctx)
	if err != nil {
		return nil, err
	}
	for i := range honestAt {
		if err := s.user(ctx, honest(i)); err != nil {
			return nil, err
		}
	}
	prober, err := startHelper(asProbe)
	if err != nil {
		return nil, err
	}
	defer prober.stop()
	flooder, err := startHelper(asFlood)
	if err != nil {
		return nil, err
	}
	defer flooder.stop()
	asked := probeOrder{place: s.place, Router: "wss" + strings.TrimPrefix(s.API, "https") + "/ws", Ticket: ticket, Lasts: 2 * time.Second}
	if _, err := tell[latencies](prober, asked); err != nil { // warms up
		return nil, err
	}
	asked.Lasts = o.lasts
	for n := range o.rounds {
		r, err := s.round(ctx, n, prober, flooder, asked)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func honest(i int) string { return fmt.Sprintf("honest-%d", i) }

func tell[Out any](h *helper, order any) (out Out, err error) {
	if err := h.orders.Encode(order); err != nil {
		return out, err
	}
	return out, h.answers.Decode(&out)
}

func (s *served) round(ctx context.Context, n int, prober, flooder *helper, asked probeOrder) (r round, err error) {
	for i := 0; i < len(honestAt); i += 2 { // every other one has logged in from its place before
		if l := s.login(ctx, n, i); !l.ok {
			return r, errors.New("an honest login failed without a flood")
		}
	}
	if _, err := tell[flooded](flooder, floodOrder{place: s.place, Round: n}); err != nil {
		return r, err
	}
	begun := s.spent()
	if r.quiet, err = tell[latencies](prober, asked); err != nil {
		return r, err
	}
	between := s.spent()
	flooding := make(chan error, 1)
	go func() {
		var err error
		r.flood, err = tell[flooded](flooder, floodOrder{place: s.place, Round: n, Lasts: asked.Lasts})
		flooding <- err
	}()
	people := make(chan login, len(honestAt))
	for i, at := range honestAt {
		go func() {
			<-time.After(at) // a moment of the round
			people <- s.login(ctx, n, i)
		}()
	}
	if r.loaded, err = tell[latencies](prober, asked); err != nil {
		return r, err
	}
	for range honestAt {
		r.logins = append(r.logins, <-people)
	}
	err = <-flooding
	r.quietCPU, r.loadedCPU = between-begun, s.spent()-between
	return r, err
}

// login logs an honest person in, at a place of their own in each round.
func (s *served) login(ctx context.Context, round, i int) login {
	ctx, cancel := context.WithTimeout(ctx, 3*loginWithin)
	defer cancel()
	client, begun := s.from(fmt.Sprintf("127.9.%d.%d", round+1, i+1)), time.Now()
	defer client.CloseIdleConnections()
	status, err := s.send(ctx, client, http.MethodPost, "", "/login", httpapi.LoginCreate{Name: honest(i), Password: passphrase}, nil)
	return login{known: i%2 == 0, took: time.Since(begun), ok: err == nil && status == http.StatusOK}
}

// report prints the rounds, and tells what goal was missed.
func report(w io.Writer, rounds []round) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "round\tquiet p50\tp99\tflooded p50\tp99\tmost\tratio of p99\tserver CPU\tflooded\twrong\tslowed\tfailed\thonest in\tslowest known\tslowest new")
	var ratios []float64
	var missed []error
	for i, r := range rounds {
		ratios = append(ratios, r.ratio())
		in, known, strange := r.people()
		fmt.Fprintf(table, "%d\t%v\t%v\t%v\t%v\t%v\t%.2f\t%v\t%v\t%d\t%d\t%d\t%d of %d\t%v\t%v\n", i+1, ms(r.quiet.P50), ms(r.quiet.P99), ms(r.loaded.P50), ms(r.loaded.P99), ms(r.loaded.Most),
			r.ratio(), r.quietCPU, r.loadedCPU, r.flood.Wrong, r.flood.Slowed, r.flood.Failed, in, len(r.logins), ms(known), ms(strange))
		if in < len(r.logins) || max(known, strange) > loginWithin {
			missed = append(missed, fmt.Errorf("round %d: not every honest login came in within %v", i+1, loginWithin))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	slices.Sort(ratios)
	median := (ratios[(len(ratios)-1)/2] + ratios[len(ratios)/2]) / 2
	fmt.Fprintf(w, "p99 of the router under a flood of %d wrong passwords a second, against none: %.2f x (at most %.0f x)\n", floodRate, median, ratioAtMost)
	if median > ratioAtMost {
		missed = append(missed, errors.New("the router was too slow under the flood"))
	}
	return errors.Join(missed...)
}

func ms(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func (r round) people() (in int, known, strange time.Duration) {
	for _, l := range r.logins {
		if l.ok {
			in++
		}
		if l.known {
			known = max(known, l.took)
		} else {
			strange = max(strange, l.took)
		}
	}
	return in, known, strange
}
