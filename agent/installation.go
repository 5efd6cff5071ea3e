package agent

import (
	"context"
	"log/slog"
	"reflect"
	"sync"

	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// maxInstallations bounds what one device serves: each costs a connection.
const maxInstallations = 64

// installation is one data realm that the agent serves.
type installation struct {
	assignment wire.Assignment
	outboxes   map[wire.AgentPublication]*outbox
	group      *lifecycle.Group
}

func sameAssignments(a, b []wire.Assignment) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

// assign makes the installations those of the list: what is no longer in it is left, what is new is joined, what has
// changed is both. ctx is theirs.
func (a *Agent) assign(ctx context.Context, list []wire.Assignment) {
	wanted := a.usable(list)
	left := a.leave(func(i *installation) bool {
		as, ok := wanted[i.assignment.Realm]
		return !ok || !reflect.DeepEqual(as, i.assignment)
	})
	for _, realm := range left {
		a.board.remove(realm)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for realm, as := range wanted {
		if a.installations[realm] == nil {
			a.installations[realm] = a.startInstallation(ctx, as)
		}
	}
}

// usable keeps the assignments that make sense, one for each realm.
func (a *Agent) usable(list []wire.Assignment) map[string]wire.Assignment {
	wanted := map[string]wire.Assignment{}
	for _, as := range list {
		switch {
		case as.Realm == "" || as.Realm == a.config.Flash.DeviceRealm || !as.Project.Valid() || !as.App.Valid():
			a.log.Warn("assignment left out: it names no data realm", logkey.Realm, as.Realm)
		case len(wanted) == maxInstallations:
			a.log.Warn("assignment left out: too many", logkey.Realm, as.Realm)
		default:
			wanted[as.Realm] = as
		}
	}
	return wanted
}

// leave stops, all at once, the installations that which selects, waits for them and names their realms.
func (a *Agent) leave(which func(*installation) bool) []string {
	var leaving []*installation
	var left []string
	a.mu.Lock()
	for realm, i := range a.installations {
		if which(i) {
			leaving = append(leaving, i)
			left = append(left, realm)
			delete(a.installations, realm)
		}
	}
	a.mu.Unlock()
	var wg sync.WaitGroup
	for _, i := range leaving {
		wg.Go(func() { i.stop() })
	}
	wg.Wait()
	return left
}

func (a *Agent) startInstallation(ctx context.Context, as wire.Assignment) *installation {
	i := &installation{assignment: as, outboxes: map[wire.AgentPublication]*outbox{}, group: lifecycle.NewGroup(ctx)}
	log := a.log.With(slog.String(logkey.Realm, as.Realm))
	var publications []*publication
	for _, p := range as.Publish {
		if i.outboxes[p] != nil {
			continue // said twice
		}
		box := newOutbox(&a.budget)
		publication, err := newPublication(as, p, box, log)
		if err != nil {
			log.Warn("publication left out", logkey.Error, err)
			continue
		}
		i.outboxes[p] = box
		publications = append(publications, publication)
		i.group.Go(func(ctx context.Context) { publication.sampler.Run(ctx, openHost) })
		i.group.Go(publication.produce)
	}
	a.board.enter(as.Realm, as.AppName)
	m := &membership{realm: as.Realm, join: a.join, board: a.board, log: a.log}
	m.serve = func(ctx context.Context, s *wampx.Session) error {
		return a.serveInstallation(ctx, s, as, publications)
	}
	i.group.Go(m.run)
	return i
}

// stop leaves the realm and gives up what could not be sent.
func (i *installation) stop() {
	i.group.Stop()
	for _, box := range i.outboxes {
		box.discard()
	}
}

// serveInstallation offers the agent's functions and publishes until the session is over or ctx ends.
func (a *Agent) serveInstallation(ctx context.Context, s *wampx.Session, as wire.Assignment, publications []*publication) error {
	if err := a.offerIn(ctx, s, as); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, p := range publications {
		wg.Go(func() { p.send(ctx, s) })
	}
	wg.Wait()
	select {
	case <-s.Done():
		return s.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Agent) offerIn(ctx context.Context, s *wampx.Session, as wire.Assignment) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	device := a.config.Flash.Device
	return a.offer(ctx, s, as.Realm, func(name string) string {
		return wire.DeviceFunction(as.Project, device, as.App, as.Stage, name)
	})
}

// tallies gives what became of the rows, by realm.
func (a *Agent) tallies() map[string]tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	sums := map[string]tally{}
	for realm, i := range a.installations {
		var sum tally
		for _, box := range i.outboxes {
			t := box.tally()
			sum.buffered += t.buffered
			sum.dropped += t.dropped
			sum.refused += t.refused
		}
		sums[realm] = sum
	}
	return sums
}
