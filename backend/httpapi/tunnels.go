package httpapi

import (
	"context"
	"net/http"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// TunnelPath names a tunnel in a path.
type TunnelPath struct {
	Tunnel string `path:"tunnel" maxLength:"64" doc:"Id of a tunnel"`
	found  remote.Tunnel
}

func (p *TunnelPath) target(ctx context.Context, a *API) (_ Target, err error) {
	p.found, err = a.Remote.Find(ctx, p.Tunnel)
	return tunnelTarget(p.found), err
}

func tunnelTarget(t remote.Tunnel) Target {
	return Target{Kind: "device", Project: t.Project, Key: t.Device}
}

type (
	tunnelCreateInput struct {
		DevicePath
		Body TunnelCreate
	}
	terminalCreateInput struct {
		DevicePath
		Body TerminalCreate
	}
	tunnelListInput struct {
		ProjectPath
		Live bool `query:"live" doc:"Only those that have not ended"`
	}
	tunnelOpenInput struct {
		TunnelPath
		Body TunnelOpen
	}
	tunnelExtendInput struct {
		TunnelPath
		Body TunnelExtend
	}
	tunnelPolicyInput struct {
		ProjectPath
		Body TunnelPolicy
	}
)

func (a *API) registerTunnels() {
	const of, one = "/projects/{project}/devices/{device}", "/tunnels/{tunnel}"
	handle(a, route{method: http.MethodPost, path: of + "/tunnels", id: "create-tunnel", tag: "tunnels", summary: "Ask for a tunnel to a host and port, or a web application, that a device reaches", flag: wire.DeviceTunnel, status: http.StatusCreated}, a.createTunnel)
	handle(a, route{method: http.MethodPost, path: of + "/terminals", id: "create-terminal", tag: "tunnels", summary: "Ask for a shell on a device", flag: wire.DeviceTerminal, status: http.StatusCreated}, a.createTerminal)
	handle(a, route{method: http.MethodGet, path: "/projects/{project}/tunnels", id: "list-tunnels", tag: "tunnels", summary: "List the newest tunnels of a project", flag: wire.ProjectRead}, a.listTunnels)
	handle(a, route{method: http.MethodGet, path: one, id: "get-tunnel", tag: "tunnels", summary: "Show a tunnel", flag: wire.DeviceRead}, a.getTunnel)
	handle(a, route{method: http.MethodPost, path: one + "/open", id: "open-tunnel", tag: "tunnels", summary: "Open a tunnel that is approved", flag: wire.DeviceRead}, a.openTunnel)
	handle(a, route{method: http.MethodPost, path: one + "/approve", id: "approve-tunnel", tag: "tunnels", summary: "Approve a tunnel that another asks for", flag: wire.DeviceRead}, a.approveTunnel)
	handle(a, route{method: http.MethodPost, path: one + "/deny", id: "deny-tunnel", tag: "tunnels", summary: "Deny a tunnel that another asks for", flag: wire.DeviceRead}, a.denyTunnel)
	handle(a, route{method: http.MethodPost, path: one + "/extend", id: "extend-tunnel", tag: "tunnels", summary: "Let an open tunnel last for longer", flag: wire.DeviceRead}, a.extendTunnel)
	handle(a, route{method: http.MethodDelete, path: one, id: "close-tunnel", tag: "tunnels", summary: "End a tunnel, or withdraw its request", flag: wire.DeviceRead}, a.closeTunnel)
	handle(a, route{method: http.MethodGet, path: "/projects/{project}/tunnel-policy", id: "get-tunnel-policy", tag: "tunnels", summary: "Show what a project asks for before a tunnel is opened", flag: wire.ProjectRead}, a.getTunnelPolicy)
	handle(a, route{method: http.MethodPut, path: "/projects/{project}/tunnel-policy", id: "set-tunnel-policy", tag: "tunnels", summary: "Change what a project asks for before a tunnel is opened", flag: wire.ProjectUpdate}, a.setTunnelPolicy)
}

// flagOf is the privilege that a target asks for.
func flagOf(t wire.Target) wire.Flag {
	if t.Protocol == wire.ProtocolPTY {
		return wire.DeviceTerminal
	}
	return wire.DeviceTunnel
}

// requester is who acts on a tunnel, with what the gates proved. The route's privilege may be a lesser one than the
// target's: this asks for that.
func (a *API) requester(ctx context.Context, c caller, flag wire.Flag, on Target) (remote.Requester, error) {
	may := func(ctx context.Context) bool {
		return (c.by.Until.IsZero() || a.Now().Before(c.by.Until)) && a.Authorizer.May(ctx, c.by, flag, on)
	}
	if !may(ctx) {
		return remote.Requester{}, errs.E(wire.Denied, "this needs the privilege %s", flag)
	}
	if err := a.assured(c.by, route{flag: flag}); err != nil {
		return remote.Requester{}, err
	}
	r := remote.Requester{Actor: c.actor, Login: c.by.Login, Fresh: true, Method: "second_factor", At: c.by.FactorAt, Still: may}
	if c.by.Proof == account.ProofAPIKey {
		r.Method, r.At = "apikey", a.Now()
	}
	return r, nil
}

func (a *API) createTunnel(ctx context.Context, c caller, in *tunnelCreateInput) (*reply[Tunnel], error) {
	target, err := wire.ParseTarget(in.Body.Target)
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "target: %s", err)
	}
	return a.askTunnel(ctx, c, in.DevicePath, remote.Ask{
		Target: target, EndToEnd: in.Body.EndToEnd, TTL: time.Duration(in.Body.TTLSeconds) * time.Second, Reason: in.Body.Reason,
	})
}

func (a *API) createTerminal(ctx context.Context, c caller, in *terminalCreateInput) (*reply[Tunnel], error) {
	return a.askTunnel(ctx, c, in.DevicePath, remote.Ask{
		Target: wire.PTY, EndToEnd: true, TTL: time.Duration(in.Body.TTLSeconds) * time.Second, Reason: in.Body.Reason, Record: in.Body.Record,
	})
}

func (a *API) askTunnel(ctx context.Context, c caller, in DevicePath, ask remote.Ask) (*reply[Tunnel], error) {
	by, err := a.requester(ctx, c, flagOf(ask.Target), deviceTarget(in.dev))
	if err != nil {
		return nil, err
	}
	device := remote.Device{Project: in.dev.Project, Key: in.dev.Key, Name: in.dev.Name, Serial: in.dev.Serial}
	t, err := a.Remote.Request(ctx, by, device, ask)
	return &reply[Tunnel]{Location: location("tunnels", t.ID), Body: a.tunnelOf(t)}, err
}

func (a *API) listTunnels(ctx context.Context, c caller, in *tunnelListInput) (*reply[List[Tunnel]], error) {
	const most = 500
	found, err := a.Remote.List(ctx, remote.Query{Project: in.ProjectPath.found.Key, Live: in.Live, Limit: most})
	list := List[Tunnel]{Items: []Tunnel{}}
	for _, t := range found {
		if a.Authorizer.May(ctx, c.by, wire.DeviceRead, tunnelTarget(t)) {
			list.Items = append(list.Items, a.tunnelOf(t))
		}
	}
	return &reply[List[Tunnel]]{Body: list}, err
}

func (a *API) getTunnel(_ context.Context, _ caller, in *TunnelPath) (*reply[Tunnel], error) {
	return &reply[Tunnel]{Body: a.tunnelOf(in.found)}, nil
}

func (a *API) openTunnel(ctx context.Context, c caller, in *tunnelOpenInput) (*reply[TunnelOpening], error) {
	by, err := a.requester(ctx, c, flagOf(in.found.Target), tunnelTarget(in.found))
	if err != nil {
		return nil, err
	}
	opening, err := a.Remote.OpenTunnel(ctx, by, in.found.ID, remote.UserEnd{Key: in.Body.ClientKey, Hello: in.Body.Hello})
	if err != nil {
		return nil, err
	}
	return &reply[TunnelOpening]{Body: TunnelOpening{
		Tunnel: a.tunnelOf(opening.Tunnel), Gateway: opening.Gateway, Ticket: string(opening.Ticket.Reveal()), DeviceKey: opening.DeviceKey, Answer: opening.Answer, EntryURL: string(opening.Entry.Reveal()),
	}}, nil
}

func (a *API) approveTunnel(ctx context.Context, c caller, in *TunnelPath) (*reply[Tunnel], error) {
	return a.decideTunnel(ctx, c, in, true)
}

func (a *API) denyTunnel(ctx context.Context, c caller, in *TunnelPath) (*reply[Tunnel], error) {
	return a.decideTunnel(ctx, c, in, false)
}

// decideTunnel asks of who approves the privilege that the tunnel itself asks for.
func (a *API) decideTunnel(ctx context.Context, c caller, in *TunnelPath, approve bool) (*reply[Tunnel], error) {
	by, err := a.requester(ctx, c, flagOf(in.found.Target), tunnelTarget(in.found))
	if err != nil {
		return nil, err
	}
	t, err := a.Remote.Decide(ctx, by, in.found.ID, approve)
	return &reply[Tunnel]{Body: a.tunnelOf(t)}, err
}

func (a *API) extendTunnel(ctx context.Context, c caller, in *tunnelExtendInput) (*reply[Tunnel], error) {
	by, err := a.requester(ctx, c, flagOf(in.found.Target), tunnelTarget(in.found))
	if err != nil {
		return nil, err
	}
	t, err := a.Remote.Extend(ctx, by, in.found.ID, time.Duration(in.Body.TTLSeconds)*time.Second)
	return &reply[Tunnel]{Body: a.tunnelOf(t)}, err
}

// closeTunnel asks for no second factor: to end what is open must be easy. Who did not ask for it must be able to open it.
func (a *API) closeTunnel(ctx context.Context, c caller, in *TunnelPath) (*nothing, error) {
	own := in.found.By.Kind == c.actor.Kind && in.found.By.ID == c.actor.ID
	if !own && !a.Authorizer.May(ctx, c.by, flagOf(in.found.Target), tunnelTarget(in.found)) {
		return nil, errs.E(wire.Denied, "this needs the privilege %s", flagOf(in.found.Target))
	}
	return &nothing{}, a.Remote.Close(ctx, c.actor, in.found.ID)
}

func (a *API) getTunnelPolicy(ctx context.Context, _ caller, in *ProjectPath) (*reply[TunnelPolicy], error) {
	p, err := a.Remote.Policy(ctx, in.found.Key)
	return &reply[TunnelPolicy]{Body: TunnelPolicy{Approval: p.Approval, Recording: p.Recording}}, err
}

func (a *API) setTunnelPolicy(ctx context.Context, c caller, in *tunnelPolicyInput) (*reply[TunnelPolicy], error) {
	err := a.Remote.SetPolicy(ctx, c.actor, in.found.Key, remote.Policy{Approval: in.Body.Approval, Recording: in.Body.Recording})
	return &reply[TunnelPolicy]{Body: in.Body}, err
}

func (a *API) tunnelOf(t remote.Tunnel) Tunnel {
	return Tunnel{
		ID: t.ID, ProjectKey: t.Project, DeviceKey: t.Device, Device: t.DeviceName, Target: t.Target.String(), State: string(t.State), EndToEnd: t.EndToEnd,
		ByKind: string(t.By.Kind), ByID: t.By.ID, ByName: t.By.Name, Reason: t.Reason, Approver: t.Approver, TTLSeconds: int64(t.TTL / time.Second),
		AskedAt: t.AskedAt, OpenedAt: t.OpenedAt, ExpiresAt: t.ExpiresAt, ClosedAt: t.ClosedAt, Ended: t.Ended,
		Sent: t.Sent, Received: t.Received, Streams: t.Streams, Record: t.Record, Recorded: t.Signer != "", URL: a.Remote.SiteOf(t.ID),
	}
}
