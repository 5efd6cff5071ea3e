package main

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
)

// probeOrder is one part of a round, as the probe is told of it. The first one has its ticket.
type probeOrder struct {
	place
	Router string
	Ticket httpapi.Ticket
	Lasts  time.Duration
}

// latencies are of messages through the router.
type latencies struct {
	P50, P99, Most time.Duration
	Messages       int
}

// probe measures, 250 times a second, how long the router takes to answer what it answers itself.
func probe(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var session *wampx.Session
	for {
		var o probeOrder
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if session == nil {
			var err error
			if session, err = wampx.Dial(ctx, wampx.Config{URL: o.Router, Realm: o.Ticket.Realm, AuthID: o.Ticket.AuthID, Ticket: secret.FromString(o.Ticket.Ticket), TLS: o.tls()}); err != nil {
				return err
			}
			defer session.Close(context.WithoutCancel(ctx))
		}
		took, err := calls(ctx, session, o.Lasts)
		if err != nil {
			return err
		}
		if err := answers.Encode(took); err != nil {
			return err
		}
	}
}

func calls(ctx context.Context, session *wampx.Session, lasts time.Duration) (latencies, error) {
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	var took []time.Duration
	for begun := time.Now(); time.Since(begun) < lasts; <-tick.C {
		sent := time.Now()
		_, _, err := session.CallURI(ctx, "wamp.session.get", []any{session.ID()}, nil, nil)
		if session.Err() != nil {
			return latencies{}, err
		}
		took = append(took, time.Since(sent))
	}
	slices.Sort(took)
	return latencies{P50: took[len(took)/2], P99: took[len(took)*99/100], Most: took[len(took)-1], Messages: len(took)}, nil
}
