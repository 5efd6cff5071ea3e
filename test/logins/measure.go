package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"bulkhead/backend/httpapi"
)

// loginWithin is how soon honest people are to be in.
const loginWithin = 3 * time.Second

// honestAt are the moments of each part of a round at which honest people log in: from its first second on.
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

// part is a time of a round.
type part struct {
	latencies
	flood  flooded
	spent  spent
	logins []login
}

// round is a quiet time, a flood of the server, and a flood of the bare one.
type round struct {
	quiet, loaded, bare part
}

// stage is what all rounds have.
type stage struct {
	*served
	helpers
	settings
	probe probeOrder
	bare  place
	nets  int // that floods have come from
	parts int // that were begun
}

func measure(ctx context.Context, s *served, o settings) (rounds []round, err error) {
	st := &stage{served: s, settings: o}
	st.probe = probeOrder{place: s.place, Router: "wss" + strings.TrimPrefix(s.API, "https") + "/ws"}
	if st.probe.Ticket, err = s.ticket(ctx); err != nil {
		return nil, err
	}
	for i := range honestAt {
		if err := s.user(ctx, honest(i)); err != nil {
			return nil, err
		}
	}
	if st.helpers, err = startHelpers(); err != nil {
		return nil, err
	}
	defer st.helpers.stop()
	if !st.raised {
		fmt.Println("the probe's priority cannot be raised here: part of what it measures is how long it waits itself")
	}
	if err := st.helpers.bare.answers.Decode(&st.bare); err != nil {
		return nil, err
	}
	st.probe.Lasts = 2 * time.Second
	if _, err := tell[latencies](st.prober, st.probe); err != nil { // warms up
		return nil, err
	}
	st.probe.Lasts = o.lasts
	for i := range o.rounds {
		r, err := st.round(ctx, i%2 == 1)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
	}
	return rounds, nil
}

func honest(i int) string { return fmt.Sprintf("honest-%d", i) }

// round has its parts in one order and then in the other, so that none is always the one after a flood.
func (st *stage) round(ctx context.Context, backwards bool) (r round, err error) {
	parts := []func() error{
		func() (err error) { r.quiet, err = st.part(ctx, st.served.place, false); return err },
		func() (err error) { r.loaded, err = st.part(ctx, st.served.place, true); return err },
		func() (err error) { r.bare, err = st.part(ctx, st.bare, true); return err },
	}
	if backwards {
		slices.Reverse(parts)
	}
	for _, do := range parts {
		if err := do(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// part has honest people log in and measures the router, while a flood that has connected to a place flows or does not.
func (st *stage) part(ctx context.Context, to place, flows bool) (p part, err error) {
	if err := st.connect(to); err != nil {
		return p, err
	}
	st.parts++
	for i := 0; i < len(honestAt); i += 2 { // every other one has logged in from its place before
		if l := st.login(ctx, st.parts, i); !l.ok {
			return p, errors.New("an honest login failed without a flood")
		}
	}
	people := make(chan login, len(honestAt))
	for i, at := range honestAt {
		go func() {
			<-time.After(at) // a moment of the part
			people <- st.login(ctx, st.parts, i)
		}()
	}
	p, err = st.listen(to, flows)
	for range honestAt {
		p.logins = append(p.logins, <-people)
	}
	return p, err
}

// connect has the flood open its connections, from addresses that have not been used.
func (st *stage) connect(to place) error {
	st.nets++
	_, err := tell[flooded](st.flooder, floodOrder{place: to, Net: 100 + st.nets})
	return err
}

// listen measures the router, while a flood goes to a place or none flows.
func (st *stage) listen(to place, flows bool) (p part, err error) {
	before := st.spent()
	ended := make(chan error, 1)
	go func() {
		var err error
		if flows {
			p.flood, err = tell[flooded](st.flooder, floodOrder{place: to, Fresh: st.fresh, Lasts: st.lasts})
		}
		ended <- err
	}()
	took, err := tell[latencies](st.prober, st.probe)
	if errFlood := <-ended; errFlood != nil {
		return p, errFlood
	}
	p.latencies, p.spent = took, st.spent().since(before)
	return p, err
}

// login logs an honest person in, at a place of their own in each part.
func (s *served) login(ctx context.Context, part, i int) login {
	ctx, cancel := context.WithTimeout(ctx, 3*loginWithin)
	defer cancel()
	client, begun := clientFrom(fmt.Sprintf("127.9.%d.%d", part, i+1), s.tls(), false), time.Now()
	status, err := s.send(ctx, client, http.MethodPost, "", "/login", httpapi.LoginCreate{Name: honest(i), Password: passphrase}, nil)
	return login{known: i%2 == 0, took: time.Since(begun), ok: err == nil && status == http.StatusOK}
}
