// Package isolation shows that what happens in one project's realms can be neither seen nor felt in another's: a table of
// who does what where, over every serializer.
package isolation

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/db/dbtest"
	"bulkhead/internal/wampx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// lineTimeout bounds one line of the table; only a fault takes that long.
const lineTimeout = time.Minute

var serializers = map[string]wampx.Serializer{"json": wampx.JSON, "msgpack": wampx.MessagePack, "cbor": wampx.CBOR}

func TestWhoDoesWhatWhere(t *testing.T) {
	t.Parallel()
	lines := readTable(t)
	if len(lines) < 40 {
		t.Fatalf("the table has %d lines only", len(lines))
	}
	for name, serializer := range serializers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ears := w.listen(t)
			w.offerPrivately(t)
			for _, l := range lines {
				if got := w.try(l, serializer); got != l.outcome {
					t.Errorf("%s:%d: %s\n\tcame of it: %s", tableFile, l.number, l.text, got)
				}
			}
			ears.compare(t)
		})
	}
}

const tableFile = "testdata/table.txt"

// line is one line of the table.
type line struct {
	number         int
	text           string
	who, verb, uri string
	match          wampx.Match
	args           []any
	realm, outcome string
}

func readTable(t *testing.T) []line {
	t.Helper()
	f, err := os.Open(filepath.FromSlash(tableFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []line
	scanner := bufio.NewScanner(f)
	for number := 1; scanner.Scan(); number++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			t.Fatalf("%s:%d: %v", tableFile, number, err)
		}
		l.number = number
		lines = append(lines, l)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func parseLine(text string) (line, error) {
	l := line{text: text, match: wampx.Exact}
	act, outcome, ok := strings.Cut(text, " -> ")
	what, realm, okRealm := strings.Cut(act, " in ")
	words := strings.Fields(what)
	if !ok || !okRealm || len(words) < 2 {
		return l, errors.New("want: WHO VERB [URI [MATCH]] [ARGUMENT...] in REALM -> OUTCOME")
	}
	l.outcome, l.realm, l.who, l.verb = outcome, realm, words[0], words[1]
	if l.verb == "join" {
		return l, nil
	}
	if len(words) < 3 {
		return l, errors.New("the URI is missing")
	}
	l.uri = words[2]
	for _, word := range words[3:] {
		switch word {
		case "prefix", "wildcard":
			l.match = wampx.Match(word)
		default:
			var arg any
			if err := json.Unmarshal([]byte(word), &arg); err != nil {
				return l, err
			}
			l.args = append(l.args, arg)
		}
	}
	return l, nil
}

// try does what the line says and gives what came of it: ok, or the last word of the error's URI.
func (w *world) try(l line, serializer wampx.Serializer) string {
	ctx, cancel := context.WithTimeout(context.Background(), lineTimeout)
	defer cancel()
	s, err := w.join(ctx, l.who, l.realm, serializer)
	if err == nil {
		defer func() { _ = s.Close(ctx) }() // the line is over
		err = w.do(ctx, s, l)
	}
	return outcome(err)
}

// outcome is how the table tells of what came of something.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	uri := wampx.Reason(err)
	if uri == "" {
		return err.Error()
	}
	return uri[strings.LastIndex(uri, ".")+1:]
}

func (w *world) do(ctx context.Context, s *wampx.Session, l line) error {
	uri := w.expand(l.uri)
	switch l.verb {
	case "join":
		return nil
	case "publish":
		return s.PublishURI(ctx, uri, []any{map[string]any{"from": l.who}}, nil, wampx.PublishOptions{})
	case "subscribe":
		_, err := s.SubscribeURI(ctx, uri, l.match, func(context.Context, wampx.Event) {})
		return err
	case "register":
		_, err := s.RegisterURI(ctx, uri, wampx.RegisterOptions{Match: l.match}, func(context.Context, *wampx.Invocation) (wampx.Result, error) {
			return wampx.Result{}, nil
		})
		return err
	case "call":
		_, _, err := s.CallURI(ctx, uri, l.args, nil, nil)
		return err
	default:
		return fmt.Errorf("unknown verb %q", l.verb)
	}
}

// offerPrivately has b's service register a procedure that a's sessions try to reach.
func (w *world) offerPrivately(t *testing.T) {
	t.Helper()
	s := w.mustJoin(t, "b/service", "b.data")
	_, err := s.RegisterURI(t.Context(), "com.example.private", wampx.RegisterOptions{}, func(context.Context, *wampx.Invocation) (wampx.Result, error) {
		return wampx.Result{Args: []any{"secret"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) mustJoin(t *testing.T, who, realm string) *wampx.Session {
	t.Helper()
	s, err := w.join(t.Context(), who, realm, wampx.JSON)
	if err != nil {
		t.Fatalf("%s in %s: %v", who, realm, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lineTimeout)
		defer cancel()
		_ = s.Close(ctx) // the world ends too
	})
	return s
}

// ears hear everything that is said in a realm, and who said it.
type ears struct {
	w *world

	mu    sync.Mutex // guards heard
	heard map[string][]string
	last  map[string]chan struct{}
}

const sentinel = "com.example.the_end"

// listen has each tenant's service subscribe to all that there is in its realm, the router's own events too.
func (w *world) listen(t *testing.T) *ears {
	t.Helper()
	e := &ears{w: w, heard: map[string][]string{}, last: map[string]chan struct{}{}}
	for name := range w.tenants {
		done := make(chan struct{})
		e.last[name] = done
		s := w.mustJoin(t, name+"/service", name+".data")
		_, err := s.SubscribeURI(t.Context(), "", wampx.Prefix, func(_ context.Context, event wampx.Event) {
			if event.Topic == sentinel {
				close(done)
				return
			}
			encoded, _ := json.Marshal(event)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.heard[name] = append(e.heard[name], string(encoded))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// compare publishes a last event in each realm, waits until it is heard, and looks for the other tenant in what was heard
// before: its keys, serials and names are random, so any of them in there came through the wall.
func (e *ears) compare(t *testing.T) {
	t.Helper()
	for name := range e.w.tenants {
		s := e.w.mustJoin(t, name+"/device-1", name+".data")
		if err := s.PublishURI(t.Context(), sentinel, nil, nil, wampx.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-e.last[name]:
		case <-time.After(lineTimeout):
			t.Fatalf("%s does not hear its own realm", name)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard["a"]) == 0 || len(e.heard["b"]) == 0 {
		t.Errorf("a heard %d events, b heard %d: the ears are deaf", len(e.heard["a"]), len(e.heard["b"]))
	}
	for name, other := range map[string]string{"a": "b", "b": "a"} {
		for _, event := range e.heard[name] {
			for _, mark := range e.w.tenants[other].marks(other) {
				if strings.Contains(event, mark) {
					t.Errorf("%s heard of %s: %s", name, other, event)
				}
			}
		}
	}
}

// marks are texts that occur where a tenant is spoken of.
func (t tenant) marks(name string) []string {
	marks := []string{t.project.String(), t.app.String(), t.data.Name(), `"from":"` + name + "/"}
	for _, d := range t.devices {
		marks = append(marks, string(d.Serial), d.Key.String())
	}
	return marks
}
