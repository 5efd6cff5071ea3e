package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"github.com/gammazero/nexus/v3/client"
	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"
)

// maxRandom is how many random bytes one call may ask for.
const maxRandom = 1 << 20

// procedures are what the suites call and expect to find.
var procedures = map[string]func(args wamp.List) (any, bool){
	"io.xconn.backend.add2": func(args wamp.List) (any, bool) {
		a, okA := number(args, 0)
		b, okB := number(args, 1)
		return a + b, okA && okB
	},
	"any.echo": func(args wamp.List) (any, bool) {
		if len(args) == 0 {
			return nil, false
		}
		return args[0], true
	},
	"binary.random": func(args wamp.List) (any, bool) {
		n, ok := number(args, 0)
		if !ok || n < 0 || n > maxRandom {
			return nil, false
		}
		b := make([]byte, n)
		_, _ = rand.Read(b) // crypto/rand.Read never fails (Go 1.24 and later)
		return b, true
	},
	"binary.concat": func(args wamp.List) (any, bool) {
		a, okA := binary(args, 0)
		b, okB := binary(args, 1)
		return slices.Concat(a, b), okA && okB
	},
	"binary.hash": func(args wamp.List) (any, bool) {
		b, ok := binary(args, 0)
		sum := sha256.Sum256(b)
		return sum[:], ok
	},
	"binary.reversed": func(args wamp.List) (any, bool) {
		b, ok := binary(args, 0)
		b = slices.Clone(b)
		slices.Reverse(b)
		return b, ok
	},
}

func number(args wamp.List, i int) (int64, bool) {
	if i >= len(args) {
		return 0, false
	}
	return wamp.AsInt64(args[i])
}

func binary(args wamp.List, i int) ([]byte, bool) {
	if i >= len(args) {
		return nil, false
	}
	b, ok := args[i].([]byte)
	return b, ok
}

// offer registers the procedures, from within the process.
func offer(r nexus.Router, log *silent) (*client.Client, error) {
	c, err := client.ConnectLocal(r, client.Config{Realm: realm, Logger: log})
	if err != nil {
		return nil, err
	}
	for name, f := range procedures {
		answer := func(_ context.Context, i *wamp.Invocation) client.InvokeResult {
			if v, ok := f(i.Arguments); ok {
				return client.InvokeResult{Args: wamp.List{v}}
			}
			return client.InvokeResult{Err: wamp.ErrInvalidArgument}
		}
		if err := c.Register(name, answer, nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// silent is the log of the client within the process: the router's own log says enough.
type silent struct{}

func (*silent) Print(...any)          {}
func (*silent) Println(...any)        {}
func (*silent) Printf(string, ...any) {}
