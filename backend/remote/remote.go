// Package remote is the life of a tunnel: asked for, approved where the project wants that, granted, opened and closed.
//
// It promises that a grant is signed only for somebody who may open the tunnel and has just proved who they are; that
// what needs an approval has that of another person, who is logged in and may have such a tunnel, until it opens; that
// each request opens one tunnel once; that every step is on record, the opening before the first byte; and that a tunnel ends when its user's login, right or device does.
package remote

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// State is how far a tunnel has come.
type State string

// The states.
const (
	Requested State = "requested" // waits for approval
	Approved  State = "approved"  // may be opened by who asked for it
	Granted   State = "granted"   // the ends are on their way
	Open      State = "open"
	Closed    State = "closed"
	Denied    State = "denied"
)

// Tunnel is one tunnel, from its request to its end and after it.
type Tunnel struct {
	ID         string
	Project    wire.Key
	Device     wire.Key
	DeviceName string
	Serial     wire.Serial
	By         audit.Actor // who asked; Session is the login that proved it
	Target     wire.Target
	EndToEnd   bool
	Reason     string
	TTL        time.Duration
	State      State
	AskedAt    time.Time
	Approver   string // kind and id; "" where none was needed
	OpenedAt   time.Time
	ExpiresAt  time.Time
	ClosedAt   time.Time
	Ended      string // why it ended
	Sent       int64
	Received   int64
	Streams    int
	Record     bool   // it is asked for, or the project demands it
	Signer     string // fingerprint of the device's key, where the device records
}

// Inside reports whether the user's end of the tunnel is the server, which reads what goes through: it serves web
// applications as pages, and shells in the browser.
func (t Tunnel) Inside() bool {
	return t.Target.Protocol.Web() || t.Target.Protocol == wire.ProtocolPTY && !t.EndToEnd
}

// Policy is what a project asks for.
type Policy struct {
	Approval  bool // by one other person
	Recording bool // nothing is opened that is not recorded
}

// Requester is who acts. The zero Requester is nobody.
type Requester struct {
	Actor audit.Actor
	Login string // id of the login or API key that proved it: the tunnel ends with it
	// Fresh tells that the second factor was shown just now, or that an API key names the privilege.
	Fresh  bool
	Method string // second_factor or apikey
	At     time.Time
	// Still reports whether they may still have the tunnel; it is asked while that is open.
	Still func(ctx context.Context) bool
}

func (r Requester) same(o audit.Actor) bool {
	return r.Actor.Kind == o.Kind && r.Actor.ID == o.ID && r.Actor.ID != ""
}

// Device is what a tunnel leads to.
type Device struct {
	Project wire.Key
	Key     wire.Key
	Name    string
	Serial  wire.Serial
}

// Query selects tunnels, newest first.
type Query struct {
	Project wire.Key
	Live    bool // only those that have not ended
	Limit   int
}

// Store keeps tunnels. What changes one writes the audit entry in the same transaction.
type Store interface {
	InsertTunnel(ctx context.Context, t Tunnel, e audit.Entry) error
	// UpdateTunnel keeps t where its state is one of from; kind Conflict where it is another.
	UpdateTunnel(ctx context.Context, t Tunnel, from []State, e audit.Entry) error
	Tunnel(ctx context.Context, id string) (Tunnel, error) // kind NotFound where there is none
	Tunnels(ctx context.Context, q Query) ([]Tunnel, error)
	UnfinishedTunnels(ctx context.Context) ([]Tunnel, error) // granted or open
	// WaitingTunnels counts what somebody has asked for in a project since then and what was neither opened nor withdrawn.
	WaitingTunnels(ctx context.Context, project wire.Key, by audit.Actor, since time.Time) (int, error)
	TunnelPolicy(ctx context.Context, project wire.Key) (Policy, error)
	SetTunnelPolicy(ctx context.Context, project wire.Key, p Policy, e audit.Entry) error
	Record(ctx context.Context, e audit.Entry) error
}

// Pass is what the gateway lets through.
type Pass struct {
	ID         string
	Expires    time.Time
	Idle       time.Duration
	MaxStreams int
	Inside     bool // the user's end is the server
}

// Usage is what has gone through.
type Usage struct {
	Sent, Received int64
	Streams        int
}

// Closing is how a tunnel ended, as the gateway tells it.
type Closing struct {
	Usage
	Reason   string
	Duration time.Duration
}

// Gateway is where the ends meet.
type Gateway interface {
	Admit(p Pass) (user, device secret.Value, err error)
	End(id, reason string) bool
	Extend(id string, expires time.Time) bool
	Usage(id string) (Usage, bool)
}

// Agents are the devices.
type Agents interface {
	OpenTunnel(ctx context.Context, project, device wire.Key, r wire.TunnelOpenRequest) (wire.TunnelOpenReply, error)
	ExtendTunnel(ctx context.Context, project, device wire.Key, r wire.TunnelExtendRequest) error
}

// Config is what Remote needs; all of it but SiteURL and PerProject is required.
type Config struct {
	Store     Store
	Gateway   Gateway
	Agents    Agents
	Key       ed25519.PrivateKey
	UserURL   string // of the gateway
	DeviceURL string
	// SiteURL gives the URL of a web application by the name of its site; nil where the server has no domain for them.
	SiteURL func(name string) string
	// RecordingKey gives the public half of a project's recording key.
	RecordingKey func(ctx context.Context, project wire.Key) (string, error)
	// Reachable reports whether a device may be reached at all: it exists and is not suspended.
	Reachable func(project wire.Key, serial wire.Serial) bool
	// MayApprove reports whether a user may still approve a tunnel: they could have it themselves.
	MayApprove func(ctx context.Context, user wire.Key, t Tunnel) bool
	// PerProject is the most tunnels of one project at once; 0: DefaultPerProject.
	PerProject int
	Log        *slog.Logger
	Now        func() time.Time
}

// Remote has the use cases of tunnels. Make one with New; Run must run beside it.
type Remote struct {
	Config

	mu    sync.Mutex // guards what follows, and what is below
	live  map[string]*live
	sites map[string]string // names of sites, to ids
}

// live is a tunnel that is granted or open.
type live struct {
	tunnel Tunnel
	by     Requester
	client string // fingerprint of the client's key
	site   *site  // nil for what is no web application
	// answered is closed when the device's answer is known here, whatever it is.
	answered chan struct{}
	// refused is why the device does not take it; ended is who closed it.
	refused error
	ended   audit.Actor
	late    *ending // of one that has ended: what is still to be put on record
}

// New makes Remote.
func New(c Config) *Remote {
	if c.PerProject == 0 {
		c.PerProject = DefaultPerProject
	}
	return &Remote{Config: c, live: map[string]*live{}, sites: map[string]string{}}
}

const (
	// DefaultTTL and MaxTTL bound how long a tunnel may last from its opening.
	DefaultTTL = time.Hour
	MaxTTL     = wire.MaxGrantLife
	minTTL     = time.Minute
	// waits is how long a request may wait for its approval and opening.
	waits      = 24 * time.Hour
	idle       = 15 * time.Minute
	maxStreams = 256
	openWithin = time.Minute
	maxReason  = 500
	maxPerUser = 32
	// DefaultPerProject leaves most of what the gateway takes to the others.
	DefaultPerProject = 512
	maxWaiting        = 64 // requests of one user in one project that are not opened
)

func assetOf(t Tunnel) audit.Asset {
	return audit.Asset{Kind: "device", Key: t.Device, Name: t.DeviceName}
}

// told is a tunnel as the audit log has it.
type told struct {
	Tunnel   string `json:"tunnel"`
	Target   string `json:"target"`
	State    State  `json:"state"`
	EndToEnd bool   `json:"end_to_end"`
	Via      string `json:"via,omitempty"` // browser, where the user's end is a page
	Reason   string `json:"reason,omitempty"`
	TTL      string `json:"ttl,omitempty"`
	Approver string `json:"approver,omitempty"`
	Until    string `json:"until,omitempty"`
	Ended    string `json:"ended,omitempty"`
	Sent     int64  `json:"sent,omitempty"`
	Received int64  `json:"received,omitempty"`
	Streams  int    `json:"streams,omitempty"`
	Duration string `json:"duration,omitempty"`
	Record   bool   `json:"record,omitempty"`
	Signer   string `json:"signer,omitempty"`
}

func tell(t Tunnel) told {
	out := told{
		Tunnel: t.ID, Target: t.Target.String(), State: t.State, EndToEnd: t.EndToEnd, Reason: t.Reason, TTL: t.TTL.String(), Approver: t.Approver,
		Ended: t.Ended, Sent: t.Sent, Received: t.Received, Streams: t.Streams, Record: t.Record, Signer: t.Signer,
	}
	if t.Inside() {
		out.Via = "browser"
	}
	if !t.ExpiresAt.IsZero() {
		out.Until = t.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if !t.ClosedAt.IsZero() && !t.OpenedAt.IsZero() {
		out.Duration = t.ClosedAt.Sub(t.OpenedAt).Round(time.Millisecond).String()
	}
	return out
}

func entry(by audit.Actor, action audit.Action, t Tunnel) audit.Entry {
	return audit.New(by, action, t.Project, assetOf(t)).Changed(nil, tell(t))
}

func (r *Remote) now() time.Time { return r.Now().UTC().Truncate(time.Microsecond) }

// Find finds a tunnel, with what has gone through it so far.
func (r *Remote) Find(ctx context.Context, id string) (Tunnel, error) {
	if len(id) > 64 {
		return Tunnel{}, errs.E(wire.NotFound, "no such tunnel")
	}
	t, err := r.Store.Tunnel(ctx, id)
	return r.measured(t), errs.Wrap("remote: find", err)
}

// List lists tunnels of a project.
func (r *Remote) List(ctx context.Context, q Query) ([]Tunnel, error) {
	list, err := r.Store.Tunnels(ctx, q)
	for i := range list {
		list[i] = r.measured(list[i])
	}
	return list, errs.Wrap("remote: list", err)
}

func (r *Remote) measured(t Tunnel) Tunnel {
	if used, ok := r.Gateway.Usage(t.ID); ok {
		t.Sent, t.Received, t.Streams = used.Sent, used.Received, used.Streams
	}
	return t
}

// Policy tells what a project asks for.
func (r *Remote) Policy(ctx context.Context, project wire.Key) (Policy, error) {
	p, err := r.Store.TunnelPolicy(ctx, project)
	return p, errs.Wrap("remote: policy", err)
}

// SetPolicy changes what a project asks for. It holds for requests that were not opened yet, too.
func (r *Remote) SetPolicy(ctx context.Context, by audit.Actor, project wire.Key, p Policy) error {
	before, err := r.Store.TunnelPolicy(ctx, project)
	if err != nil {
		return errs.Wrap("remote: set policy", err)
	}
	e := audit.New(by, audit.TunnelPolicy, project, audit.Asset{Kind: "project", Key: project}).Changed(before, p)
	return errs.Wrap("remote: set policy", r.Store.SetTunnelPolicy(ctx, project, p, e))
}
