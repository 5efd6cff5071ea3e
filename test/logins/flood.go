package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/backend/httpapi"
)

// The flood: so many wrong passwords a second, each address at a name of its own, one a second.
const (
	floodRate = 200
	guessers  = 200
)

// floodOrder is one part of a round, as the flood is told of it. Without a time it only connects.
type floodOrder struct {
	place
	Net   int // of the addresses: none has been used before
	Fresh int // requests a second that come over a connection of their own
	Lasts time.Duration
}

// flooded tells what became of a flood's guesses.
type flooded struct {
	Sent, Wrong, Slowed, Failed int64 // Slowed were told to wait, Failed got another answer or none
	Fresh                       int64 // connections that were opened meanwhile
	Took                        time.Duration
}

// rate is how many were answered in a second.
func (f flooded) rate() float64 { return float64(f.Wrong+f.Slowed) / f.Took.Seconds() }

func flood(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var from []guesser
	for {
		var o floodOrder
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var became flooded
		if o.Lasts == 0 {
			from = o.connect(ctx)
		} else {
			became = o.run(ctx, from)
		}
		if err := answers.Encode(became); err != nil {
			return err
		}
	}
}

// guesser is one address. It keeps one connection, as who sends once a second does, and opens others for one request each.
type guesser struct{ kept, fresh *http.Client }

// connect opens a connection from each address.
func (o floodOrder) connect(ctx context.Context) []guesser {
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // an attacker spends nothing on knowing whom he talks to
	all := make([]guesser, guessers)
	for i := range all {
		address := fmt.Sprintf("127.%d.%d.%d", o.Net, 1+i%20, 1+i/20)
		all[i] = guesser{clientFrom(address, config, true), clientFrom(address, config, false)}
		_, _ = o.send(ctx, all[i].kept, http.MethodGet, "", "/whoami", nil, nil) // what fails does so again, and is counted then
	}
	return all
}

func (o floodOrder) run(ctx context.Context, from []guesser) flooded {
	var wrong, slowed, failed atomic.Int64
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / floodRate)
	defer tick.Stop()
	var f flooded
	begun := time.Now()
	for ; time.Since(begun) < o.Lasts; <-tick.C {
		i := int(f.Sent % guessers)
		client := from[i].kept
		if f.Fresh < f.Sent*int64(o.Fresh)/floodRate {
			client = from[i].fresh
			f.Fresh++
		}
		f.Sent++
		all.Go(func() {
			status, err := o.send(ctx, client, http.MethodPost, "", "/login", httpapi.LoginCreate{Name: fmt.Sprintf("user-%d", i), Password: "a wrong password"}, nil)
			switch {
			case err == nil && status == http.StatusUnauthorized:
				wrong.Add(1)
			case err == nil && status == http.StatusTooManyRequests:
				slowed.Add(1)
			default:
				failed.Add(1)
			}
		})
	}
	f.Took = time.Since(begun)
	all.Wait()
	for _, one := range from {
		one.kept.CloseIdleConnections()
	}
	f.Wrong, f.Slowed, f.Failed = wrong.Load(), slowed.Load(), failed.Load()
	return f
}
