package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
)

// helper is another process of this program. It answers each order with one line.
type helper struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
}

func startHelper(role string) (*helper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &helper{cmd: exec.Command(self, role)}
	h.cmd.Stderr = os.Stderr
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.orders, h.answers = json.NewEncoder(h.in), json.NewDecoder(out)
	return h, h.cmd.Start()
}

func (h *helper) stop() {
	_ = h.in.Close()
	_ = h.cmd.Wait()
}

// probeOrder is one round of a probe. The first one has its ticket.
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

// probe measures, a hundred times a second, how long the router takes to answer what it answers itself.
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
	tick := time.NewTicker(10 * time.Millisecond)
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

// The flood: so many wrong passwords a second, each address at a name of its own, one a second.
const (
	floodRate = 200
	guessers  = 200
)

// floodOrder is one round of a flood. Without a time it only connects.
type floodOrder struct {
	place
	Round int
	Lasts time.Duration
}

// flooded tells what became of a flood's guesses.
type flooded struct {
	Sent, Wrong, Slowed, Failed int64 // Slowed were told to wait, Failed got another answer or none
}

func flood(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var clients []*http.Client
	for {
		var o floodOrder
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var became flooded
		if o.Lasts == 0 {
			clients = o.connect(ctx)
		} else {
			became = o.run(ctx, clients)
		}
		if err := answers.Encode(became); err != nil {
			return err
		}
	}
}

// connect opens a connection from each address, as who sends once a second keeps one.
func (o floodOrder) connect(ctx context.Context) []*http.Client {
	clients := make([]*http.Client, guessers)
	for i := range clients {
		clients[i] = o.from(fmt.Sprintf("127.%d.%d.%d", 100+o.Round, 1+i%20, 1+i/20))
		_, _ = o.send(ctx, clients[i], http.MethodGet, "", "/whoami", nil, nil) // what fails does so again, and is counted then
	}
	return clients
}

func (o floodOrder) run(ctx context.Context, clients []*http.Client) flooded {
	var wrong, slowed, failed atomic.Int64
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / floodRate)
	defer tick.Stop()
	sent := 0
	for begun := time.Now(); time.Since(begun) < o.Lasts; <-tick.C {
		i := sent % guessers
		sent++
		all.Go(func() {
			status, err := o.send(ctx, clients[i], http.MethodPost, "", "/login", httpapi.LoginCreate{Name: fmt.Sprintf("user-%d", i), Password: "a wrong password"}, nil)
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
	all.Wait()
	for _, c := range clients {
		c.CloseIdleConnections()
	}
	return flooded{Sent: int64(sent), Wrong: wrong.Load(), Slowed: slowed.Load(), Failed: failed.Load()}
}
