package agent

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"time"

	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// offer registers the agent's functions in one round trip. An earlier session of this same device that the router has not
// given up yet must not stand in the way, hence ForceReregister. scope is the data realm, or "" in the device realm.
func (a *Agent) offer(ctx context.Context, s *wampx.Session, scope string, uri func(name string) string) error {
	handlers := map[string]wampx.Handler{
		wire.FunctionPing:    answer(func(context.Context) (any, error) { return wire.AgentPong{Time: time.Now().UnixMilli()}, nil }),
		wire.FunctionInfo:    answer(func(context.Context) (any, error) { return a.info(scope), nil }),
		wire.FunctionMetrics: answer(func(ctx context.Context) (any, error) { return a.sample(ctx) }),
	}
	var pending []*wampx.PendingRegistration
	var errAll error
	for _, name := range slices.Sorted(maps.Keys(handlers)) {
		p, err := s.BeginRegister(ctx, uri(name), wampx.RegisterOptions{ForceReregister: true}, handlers[name])
		if err != nil {
			return errors.Join(errAll, err)
		}
		pending = append(pending, p)
	}
	for _, p := range pending {
		_, err := p.Wait(ctx)
		errAll = errors.Join(errAll, err)
	}
	return errAll
}

// answer makes a function that takes nothing a handler.
func answer(f func(ctx context.Context) (any, error)) wampx.Handler {
	return func(ctx context.Context, _ *wampx.Invocation) (wampx.Result, error) {
		reply, err := f(ctx)
		return wampx.Result{Args: []any{reply}}, err
	}
}

// info is what the agent says of itself: of one data realm to those who are in it, of all in the device realm.
func (a *Agent) info(scope string) wire.AgentInfo {
	flash := a.config.Flash
	info := wire.AgentInfo{
		Contract: wire.Version, Agent: a.config.Version, Name: flash.Name, Device: flash.Device, Serial: flash.Serial,
		OS: runtime.GOOS, Arch: runtime.GOARCH, Started: a.started.UnixMilli(), Boot: a.boot, Realms: []wire.AgentRealm{},
	}
	sums := a.tallies()
	for _, realm := range slices.Sorted(maps.Keys(sums)) {
		if t := sums[realm]; scope == "" || scope == realm {
			info.Realms = append(info.Realms, wire.AgentRealm{
				Realm: realm, Joined: a.board.isJoined(realm), Buffered: t.buffered, Dropped: t.dropped, Refused: t.refused,
			})
		}
	}
	return info
}

// sample is a row of the machine's metrics as they are now; its rates are since the one before.
func (a *Agent) sample(ctx context.Context) (wire.Row, error) {
	row, err := a.onCall.Sample(ctx)
	if err != nil {
		return nil, err
	}
	row["tsp"] = time.Now().UnixMilli()
	return row, nil
}
