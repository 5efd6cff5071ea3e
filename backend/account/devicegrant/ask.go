package devicegrant

import (
	"net/netip"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/internal/network"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// What a poll is told, besides that the request was approved.
var (
	ErrPending  = errs.E(wire.Unavailable, "the request waits to be approved")
	ErrSlowDown = errs.E(wire.Exhausted, "polled too soon")
	ErrDenied   = errs.E(wire.Denied, "the request was denied")
	ErrExpired  = errs.E(wire.Unauthenticated, "the request has expired")
	ErrUnknown  = errs.E(wire.Unauthenticated, "no such request")
)

// errTooMany is the answer to who would fill the memory.
var errTooMany = errs.E(wire.Exhausted, "too many logins wait to be approved: finish one, or try again in ten minutes")

// Start begins a request.
func (g *Grants) Start(from From) (Issued, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.sweep(now)
	networks, room := g.room(from.Address)
	if !room {
		return Issued{}, errTooMany
	}
	deviceCode, userCode := secret.Random(), newUserCode()
	for g.users[hashOf(userCode)] != nil {
		userCode = newUserCode()
	}
	asked := &grant{
		device: hashOf(string(deviceCode.Reveal())), user: hashOf(userCode), from: from.tame(), networks: networks, asked: now, interval: Interval,
	}
	g.devices[asked.device], g.users[asked.user] = asked, asked
	for _, network := range networks {
		g.held[network]++
	}
	g.oldest = append(g.oldest, asked)
	return Issued{DeviceCode: deviceCode, UserCode: shown(userCode), Life: Life, Interval: Interval}, nil
}

// room tells whether one more may wait that was asked for from an address, and which networks count it. With mu held.
func (g *Grants) room(address string) (networks []netip.Prefix, room bool) {
	most := maxPerNetwork
	if len(g.devices) >= maxWaiting/2 {
		most = maxInCrowd
	}
	room = len(g.devices) < maxWaiting
	for of, times := range network.OfText(address).Each() {
		networks, room = append(networks, of), room && g.held[of] < most*times
	}
	return networks, room
}

// Poll gives who approved a request, once: who asks again is told ErrUnknown. Until then it gives ErrPending, ErrSlowDown,
// ErrDenied, ErrExpired or ErrUnknown.
func (g *Grants) Poll(deviceCode string) (account.Principal, From, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	asked, ok := g.devices[hashOf(deviceCode)]
	if !ok {
		return account.Principal{}, From{}, ErrUnknown
	}
	if err := asked.poll(now); err != nil {
		if err != error(ErrPending) && err != error(ErrSlowDown) {
			g.drop(asked)
		}
		return account.Principal{}, From{}, err
	}
	g.drop(asked)
	return asked.by, asked.from, nil
}

// poll is the state machine: nil means that the grant is to be used now.
func (a *grant) poll(now time.Time) error {
	if !now.Before(a.expires()) {
		return ErrExpired
	}
	soon := !a.polled.IsZero() && now.Sub(a.polled) < a.interval
	a.polled = now
	switch {
	case a.state == denied:
		return ErrDenied
	case soon:
		a.interval += SlowDown
		return ErrSlowDown
	case a.state == approved:
		return nil
	default:
		return ErrPending
	}
}

// drop and sweep are called with mu held.
func (g *Grants) drop(a *grant) {
	if g.devices[a.device] != a {
		return
	}
	delete(g.devices, a.device)
	delete(g.users, a.user)
	for _, network := range a.networks {
		if g.held[network]--; g.held[network] == 0 {
			delete(g.held, network)
		}
	}
}

// sweep forgets requests a minute after they have expired: who polls one meanwhile is told so, rather than that there was
// none.
func (g *Grants) sweep(now time.Time) {
	for len(g.oldest) > 0 && (g.devices[g.oldest[0].device] == nil || !now.Before(g.oldest[0].expires().Add(time.Minute))) {
		g.drop(g.oldest[0])
		g.oldest = g.oldest[1:]
	}
	g.guesses.sweep(now)
}
