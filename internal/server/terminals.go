package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/pages"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/gateway/terminal"
	"bulkhead/wire"
)

// serveTerminals adds the way from the page of a terminal to its shell.
func (s *Server) serveTerminals(mux *http.ServeMux, p *pages.Pages) {
	s.terminals = terminal.New(terminal.Config{
		Origin: strings.TrimSuffix(s.public, "/"), Log: s.log, Refused: p.Foreign,
		Known: func(r *http.Request) (terminal.Guest, error) {
			by, from, err := p.Visitor(r)
			return terminalGuest{terminals{s}, p, by, from}, err
		},
	})
	mux.Handle("GET "+wire.TerminalPath, s.terminals)
}

// terminals are shells in the browser, for the pages.
type terminals struct{ *Server }

var _ pages.Terminals = terminals{}

// maxTerminals is how many devices the page lists; the command line lists all.
const maxTerminals = 200

// may reports whether somebody may open a shell on a device. It is asked again while one is open.
func (s terminals) may(ctx context.Context, by account.Principal, project, device wire.Key) bool {
	return (by.Until.IsZero() || time.Now().Before(by.Until)) &&
		s.authorizer().May(ctx, by, wire.DeviceTerminal, httpapi.Target{Kind: "device", Project: project, Key: device})
}

// Devices lists those on which somebody may open a shell.
func (s terminals) Devices(ctx context.Context, by account.Principal) (list []pages.TerminalDevice, more bool, err error) {
	here := map[wire.Key]map[wire.Key]bool{} // by project
	for _, d := range s.assets.Directory().Devices() {
		if d.Suspended || !s.may(ctx, by, d.Project, d.Key) {
			continue
		}
		if here[d.Project] == nil {
			here[d.Project] = s.connected(d.Project)
		}
		list = append(list, pages.TerminalDevice{Project: s.assets.ProjectName(d.Project), Name: d.Name, Here: here[d.Project][d.Key]})
	}
	slices.SortFunc(list, func(a, b pages.TerminalDevice) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), maxTerminals)], len(list) > maxTerminals, nil
}

// connected gives the devices of a project whose agents are there.
func (s terminals) connected(project wire.Key) map[wire.Key]bool {
	found := map[wire.Key]bool{}
	sessions, err := s.router.Sessions(realms.OfProject(project).Name())
	if err != nil {
		return found // the project has just been deleted
	}
	for _, session := range sessions {
		if session.Device != 0 {
			found[session.Device] = true
		}
	}
	return found
}

// device finds one on which somebody may open a shell.
func (s terminals) device(ctx context.Context, by account.Principal, project, name string) (remote.Device, error) {
	d, err := s.assets.FindDevice(ctx, project+"/"+name)
	if err == nil && !s.may(ctx, by, d.Project, d.Key) {
		err = errs.E(wire.NotFound, "there is no such device on which you may open a shell")
	}
	return remote.Device{Project: d.Project, Key: d.Key, Name: d.Name, Serial: d.Serial}, err
}

// askWithin is how long a device may take to say how it would serve a shell.
const askWithin = 5 * time.Second

// Offer asks the device how it would serve a shell.
func (s terminals) Offer(ctx context.Context, by account.Principal, project, name string) (pages.TerminalOffer, error) {
	d, err := s.device(ctx, by, project, name)
	if err != nil {
		return pages.TerminalOffer{}, err
	}
	policy, err := s.remote.Policy(ctx, d.Project)
	if err != nil {
		return pages.TerminalOffer{}, err
	}
	offer := pages.TerminalOffer{
		Device:   pages.TerminalDevice{Project: s.assets.ProjectName(d.Project), Name: d.Name, Here: true},
		Approval: policy.Approval, Recorded: policy.Recording,
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	reply, err := s.rpc.AskTerminal(asking, d.Project, d.Key)
	if err != nil {
		offer.Refusal, offer.Device.Here = "the device is not connected, or does not answer", false
		return offer, nil
	}
	offer.User, offer.Recorded, offer.Refusal = remote.Readable(reply.User), offer.Recorded || reply.Recorded, remote.Readable(reply.Refusal)
	return offer, nil
}

// requester is who acts on a device's shells.
func (s terminals) requester(by account.Principal, from account.Client, project, device wire.Key) remote.Requester {
	return remote.Requester{
		Actor: by.Actor(from), Login: by.Login, Fresh: by.Fresh(time.Now()), Method: "second_factor", At: by.FactorAt,
		Still: func(ctx context.Context) bool { return s.may(ctx, by, project, device) },
	}
}

// Request asks for a shell that the gateway reads.
func (s terminals) Request(ctx context.Context, by account.Principal, from account.Client, on pages.TerminalDevice, q pages.TerminalRequest) (pages.Terminal, error) {
	d, err := s.device(ctx, by, on.Project, on.Name)
	if err != nil {
		return pages.Terminal{}, err
	}
	t, err := s.remote.Request(ctx, s.requester(by, from, d.Project, d.Key), d, remote.Ask{Target: wire.PTY, TTL: q.TTL, Reason: q.Reason, Record: q.Record})
	return s.terminalOf(t), err
}

// own finds a shell in the browser that somebody has asked for themselves.
func (s terminals) own(ctx context.Context, by account.Principal, id string) (remote.Tunnel, error) {
	t, err := s.remote.Find(ctx, id)
	if err == nil && (t.By.Kind != audit.ActorKind(by.Kind) || t.By.ID != by.AuthID() || t.Target.Protocol != wire.ProtocolPTY || !t.Inside()) {
		err = errs.E(wire.NotFound, "there is no such terminal of yours")
	}
	return t, err
}

// Find finds a terminal.
func (s terminals) Find(ctx context.Context, by account.Principal, id string) (pages.Terminal, error) {
	t, err := s.own(ctx, by, id)
	return s.terminalOf(t), err
}

// End ends a terminal, or withdraws its request.
func (s terminals) End(ctx context.Context, by account.Principal, from account.Client, id string) error {
	t, err := s.own(ctx, by, id)
	if err != nil {
		return err
	}
	return s.remote.Close(ctx, by.Actor(from), t.ID)
}

func (s terminals) terminalOf(t remote.Tunnel) pages.Terminal {
	state := map[remote.State]pages.TerminalState{
		remote.Requested: pages.TerminalWaiting, remote.Approved: pages.TerminalReady, remote.Granted: pages.TerminalOpen, remote.Open: pages.TerminalOpen,
	}[t.State]
	return pages.Terminal{
		ID: t.ID, Device: pages.TerminalDevice{Project: s.assets.ProjectName(t.Project), Name: t.DeviceName}, State: state, Asked: t.AskedAt, Ended: remote.Why(t.Ended),
	}
}

// terminalGuest opens what somebody with a login has a ticket for.
type terminalGuest struct {
	terminals
	pages *pages.Pages
	by    account.Principal
	from  account.Client
}

// Open has the device come, and gives the way to it.
func (g terminalGuest) Open(ctx context.Context, ticket string) (terminal.Shell, error) {
	id, err := g.pages.Redeem(g.by, ticket)
	if err != nil {
		return terminal.Shell{}, err
	}
	t, err := g.own(ctx, g.by, id)
	if err != nil {
		return terminal.Shell{}, err
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	offer, err := g.rpc.AskTerminal(asking, t.Project, t.Device)
	cancel()
	if err != nil {
		return terminal.Shell{}, err
	}
	opening, err := g.remote.OpenTunnel(ctx, g.requester(g.by, g.from, t.Project, t.Device), id, remote.UserEnd{})
	if err != nil {
		return terminal.Shell{}, err
	}
	return g.enter(ctx, opening, offer)
}

func (g terminalGuest) enter(ctx context.Context, opening remote.Opening, offer wire.TerminalAskReply) (terminal.Shell, error) {
	id := opening.Tunnel.ID
	session, err := g.gateway.Enter(ctx, id)
	if err != nil {
		g.gateway.End(id, "user_left")
		return terminal.Shell{}, errs.As(wire.Unavailable, err, "%s", g.why(ctx, id))
	}
	stream, err := session.Open(ctx)
	if err != nil {
		session.Close()
		return terminal.Shell{}, err
	}
	return terminal.Shell{
		Stream: stream, Device: opening.DeviceKey, User: remote.Readable(offer.User), Recorded: opening.Tunnel.Signer != "",
		Left:  time.Until(opening.Tunnel.ExpiresAt),
		Why:   func(ctx context.Context) string { return g.why(ctx, id) },
		Close: func() { _ = stream.Reset(); session.Close() },
	}, nil
}

// why waits until the end of a tunnel is on record, and gives its reason.
func (g terminalGuest) why(ctx context.Context, id string) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if t, err := g.remote.Find(ctx, id); err == nil && t.Ended != "" {
			return "the terminal has ended: " + remote.Why(t.Ended)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "the terminal has ended: the connection to the device is lost"
		}
	}
}
