package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// closeTimeout bounds the goodbye to the router.
const closeTimeout = 2 * time.Second

// join opens a WAMP session in a realm, given by its name or as PROJECT/APP@STAGE, with a ticket of the API.
func (inv *invocation) join(ctx context.Context, realm string) (*wampx.Session, error) {
	c, err := inv.client()
	if err != nil {
		return nil, err
	}
	ticket, err := fetch[httpapi.Ticket](ctx, c, request{method: http.MethodPost, path: path("realms", realm, "ticket")})
	if err != nil {
		return nil, err
	}
	tlsConfig, err := c.context.tlsConfig()
	if err != nil {
		return nil, err
	}
	return wampx.Dial(ctx, wampx.Config{
		URL:   "wss" + strings.TrimPrefix(c.context.Server, "https") + "/ws",
		Realm: ticket.Realm, TLS: tlsConfig, Serializer: wampx.CBOR, AuthID: ticket.AuthID, Ticket: secret.FromString(ticket.Ticket),
	})
}

func leave(s *wampx.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.Close(ctx) // the process ends anyway
}

// parseArguments reads each argument as JSON where it is JSON, else as a text: 5 is a number, five and "5" are texts.
func parseArguments(args []string) []any {
	parsed := make([]any, len(args))
	for i, arg := range args {
		decoder := json.NewDecoder(strings.NewReader(arg))
		decoder.UseNumber()
		if err := decoder.Decode(&parsed[i]); err != nil || decoder.More() {
			parsed[i] = arg
			continue
		}
		parsed[i] = numbers(parsed[i])
	}
	return parsed
}

func parseKwargs(text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	var kwargs map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&kwargs); err != nil || decoder.More() {
		return nil, errs.E(wire.Invalid, "--kwargs: want one JSON object")
	}
	numbers(kwargs)
	return kwargs, nil
}

func (inv *invocation) callCommand() *cobra.Command {
	var kwargsText string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "call REALM URI [ARGS]",
		Short: "Call a procedure and print its result as JSON",
		Example: `  bulkhead call plant-a/host-metrics@prod history.transformed.metrics '{"limit": 3}'
  bulkhead call device-1 1.3.ping`,
		Args: arguments(2, -1),
	}
	c.Flags().StringVar(&kwargsText, "kwargs", "", "keyword arguments, a JSON object")
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for the result")
	c.RunE = func(c *cobra.Command, args []string) error {
		kwargs, err := parseKwargs(kwargsText)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), timeout)
		defer cancel()
		s, err := inv.join(ctx, args[0])
		if err != nil {
			return err
		}
		defer leave(s)
		progress := func(args []any, kwargs map[string]any) { _ = inv.printLine(result(args, kwargs)) }
		resultArgs, resultKwargs, err := s.CallURI(ctx, args[1], parseArguments(args[2:]), kwargs, progress)
		if err != nil {
			return explain(err, args[1])
		}
		return inv.printResult(result(resultArgs, resultKwargs))
	}
	return c
}

// result is what a person wants to see of a result: its one argument where it has no more.
func result(args []any, kwargs map[string]any) any {
	switch {
	case len(kwargs) > 0:
		return map[string]any{"args": args, "kwargs": kwargs}
	case len(args) == 1:
		return args[0]
	default:
		return args
	}
}

func (inv *invocation) printResult(value any) error {
	if inv.output == "yaml" {
		return writeYAML(inv.Out, value)
	}
	return writeJSON(inv.Out, value)
}

// printLine writes one value in one line, for what comes as a stream.
func (inv *invocation) printLine(value any) error {
	return encodeJSON(inv.Out, value, "")
}

// explain puts the URI that was asked for before what the other side says.
func explain(err error, uri string) error {
	var known *errs.Error
	if !errors.As(err, &known) {
		return err
	}
	code := wampx.Reason(err)
	if code == "" || code == errs.UserText(err) {
		return err
	}
	return errs.E(known.Kind, "%s: %s (%s)", uri, errs.UserText(err), code)
}

func (inv *invocation) publishCommand() *cobra.Command {
	var kwargsText string
	c := &cobra.Command{
		Use:     "publish REALM URI [ARGS]",
		Short:   "Publish to a topic, acknowledged",
		Example: `  bulkhead publish plant-a/host-metrics@prod com.example.hello '{"from": "me"}'`,
		Args:    arguments(2, -1),
	}
	c.Flags().StringVar(&kwargsText, "kwargs", "", "keyword arguments, a JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		kwargs, err := parseKwargs(kwargsText)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
		defer cancel()
		s, err := inv.join(ctx, args[0])
		if err != nil {
			return err
		}
		defer leave(s)
		if err := s.PublishURI(ctx, args[1], parseArguments(args[2:]), kwargs, wampx.PublishOptions{}); err != nil {
			return explain(err, args[1])
		}
		fmt.Fprintf(inv.Err, "published to %s\n", args[1])
		return nil
	}
	return c
}

func (inv *invocation) subscribeCommand() *cobra.Command {
	var match string
	var limit int
	c := &cobra.Command{
		Use:   "subscribe REALM URI",
		Short: "Print the events of a topic, one JSON object a line, until interrupted",
		Example: `  bulkhead subscribe plant-a/host-metrics@prod transformed.metrics
  bulkhead subscribe plant-a/host-metrics@prod transformed. --match prefix --limit 5`,
		Args: arguments(2, 2),
	}
	c.Flags().StringVar(&match, "match", "exact", "how URI matches topics: exact, prefix or wildcard")
	c.Flags().IntVar(&limit, "limit", 0, "stop after so many events; 0 does not stop")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch match {
		case "exact", "prefix", "wildcard":
		default:
			return usage(c, "--match %s: want exact, prefix or wildcard", match)
		}
		return inv.subscribe(c.Context(), args[0], args[1], wampx.Match(match), limit)
	}
	return c
}

// event is one event as it is printed.
type event struct {
	Topic     string         `json:"topic"`
	Publisher string         `json:"publisher,omitempty"`
	Args      []any          `json:"args,omitempty"`
	Kwargs    map[string]any `json:"kwargs,omitempty"`
	Dropped   uint64         `json:"dropped,omitempty"`
}

func (inv *invocation) subscribe(ctx context.Context, realm, topic string, match wampx.Match, limit int) error {
	s, err := inv.join(ctx, realm)
	if err != nil {
		return err
	}
	defer leave(s)
	printed := &counter{limit: limit, reached: make(chan struct{}), failed: make(chan error, 1)}
	_, err = s.SubscribeURI(ctx, topic, match, func(_ context.Context, e wampx.Event) {
		uri := e.Topic
		if uri == "" {
			uri = topic
		}
		printed.event(func() error {
			return inv.printLine(event{Topic: uri, Publisher: e.PublisherAuthID, Args: e.Args, Kwargs: e.Kwargs, Dropped: e.Dropped})
		})
	})
	if err != nil {
		return explain(err, topic)
	}
	fmt.Fprintf(inv.Err, "subscribed to %s (%s) in %s; Ctrl-C ends it\n", topic, match, s.Realm())
	select {
	case <-printed.reached:
		return nil
	case err := <-printed.failed:
		return err
	case <-ctx.Done():
		return nil // Ctrl-C is how one ends this
	case <-s.Done():
		return errs.As(wire.Unavailable, s.Err(), "the session ended")
	}
}

// counter prints at most limit events and tells when they are printed, or that they cannot be.
type counter struct {
	limit   int
	reached chan struct{}
	failed  chan error

	mu    sync.Mutex // guards count
	count int
}

func (c *counter) event(print func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit > 0 && c.count >= c.limit {
		return
	}
	if err := print(); err != nil { // the reader of a pipe has gone
		select {
		case c.failed <- err:
		default:
		}
		return
	}
	if c.count++; c.count == c.limit {
		close(c.reached)
	}
}

func (inv *invocation) historyCommand() *cobra.Command {
	var since time.Duration
	var limit int
	c := &cobra.Command{
		Use:     "history REALM TABLE",
		Short:   "Print stored rows, the newest last",
		Example: `  bulkhead history plant-a/host-metrics@prod metrics --since 1m --limit 5`,
		Args:    arguments(2, 2),
	}
	c.Flags().DurationVar(&since, "since", 0, "only rows of this time before now")
	c.Flags().IntVar(&limit, "limit", 20, "at most so many of the newest rows, 1 to 10000")
	c.RunE = func(c *cobra.Command, args []string) error {
		query := wire.HistoryRequest{Limit: limit}
		if since > 0 {
			query.TimeRange = []any{time.Now().Add(-since).UnixMilli(), nil}
		}
		rows, err := inv.history(c.Context(), args[0], args[1], query)
		if err != nil {
			return err
		}
		return inv.print(rows, func() table { return rowTable(rows) })
	}
	return c
}

func (inv *invocation) history(ctx context.Context, realm, name string, query wire.HistoryRequest) ([]wire.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := inv.join(ctx, realm)
	if err != nil {
		return nil, err
	}
	defer leave(s)
	p := wire.HistoryProcedure(name)
	chunks := chunks{}
	args, _, err := s.CallURI(ctx, p.URI, []any{query}, nil, func(args []any, _ map[string]any) { chunks.add(args) })
	if err != nil {
		return nil, explain(err, p.URI)
	}
	return chunks.rows(args)
}
