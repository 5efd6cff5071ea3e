// Package agent is a device's process: it dials its router, joins the realms that it is told, serves them, and begins again
// whenever that ends.
//
// It promises that it opens no listening socket; that it dials nobody but the router of its flash file, and the gateway and
// targets of tunnels (see package tunnel), and verifies them with the flash file's authority; that devices which lost their router together do not come back together; that a
// row which no backend acknowledged is sent again, in order and with the same time and number, as long as there is room; that
// a kill at any moment costs nothing but the rows in memory; and that a stop takes less than 5 seconds.
package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/agent/metrics"
	"bulkhead/agent/state"
	"bulkhead/agent/tunnel"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// HostColumns are the columns of the rows that wire.SourceHost gives, beside tsp.
var HostColumns = metrics.Columns

// Config is what an agent is made of.
type Config struct {
	Flash   wire.Flash
	State   *state.Dir
	Version string // of the program
	Log     *slog.Logger
	// PingInterval is how often the router must show that it is alive, default 20 s.
	PingInterval time.Duration
	// PolicyFile says what tunnels may reach; where there is none they reach nothing.
	PolicyFile string
}

// Agent is one device's presence. Run it once.
type Agent struct {
	config  Config
	log     *slog.Logger
	dial    wampx.Config // all but the realm
	started time.Time
	board   *board
	budget  budget
	onCall  *metrics.Sampler // for the function metrics
	tunnels *tunnel.Tunnels
	device  atomic.Pointer[wampx.Session] // in the device realm, while the agent is there

	boot       uint64       // set by Run before anything else
	memory     state.Memory // of Run's goroutine, then of the device realm's
	unanswered int          // questions for assignments in a row; of the device realm's goroutine

	mu            sync.Mutex // guards installations
	installations map[string]*installation
}

// New makes the agent of a device.
func New(c Config) *Agent {
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM([]byte(c.Flash.CA))
	a := &Agent{
		config: c,
		log:    c.Log,
		dial: wampx.Config{
			URL:          c.Flash.Router,
			TLS:          &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12},
			AuthID:       string(c.Flash.Serial),
			Secret:       secret.FromString(c.Flash.Secret),
			PingInterval: c.PingInterval,
			Options:      wampx.Options{Log: c.Log, MaxInvocations: 32},
		},
		started:       time.Now(),
		board:         newBoard(),
		onCall:        metrics.NewSampler(),
		installations: map[string]*installation{},
	}
	a.tunnels = newTunnels(c, authority, a.keepRecording)
	a.config.Flash.Secret = "" // from here on it is a secret.Value only
	return a
}

// Run keeps the device present until ctx ends, and then leaves in order: what is left is sent, the router is told, the
// status says that it was stopped.
func (a *Agent) Run(ctx context.Context) {
	var broken bool
	if a.memory, broken = a.config.State.Recall(a.config.Flash.Serial); broken {
		a.log.Warn("what the agent remembered cannot be read; it begins afresh")
	}
	a.memory.Boot++
	a.boot = a.memory.Boot
	a.remember()
	a.log.Info("agent started", logkey.Serial, a.config.Flash.Serial, logkey.Device, a.config.Flash.Name,
		logkey.Version, a.config.Version, logkey.URI, a.config.Flash.Router)

	group := lifecycle.NewGroup(context.WithoutCancel(ctx))
	a.board.enter(a.config.Flash.DeviceRealm, "")
	a.assign(group.Context(), a.memory.Assignments)
	group.Go(a.writeStatus)
	group.Go(giveBack)
	group.Go(func(ctx context.Context) { a.onCall.Run(ctx, openHost) })
	group.Go(a.deviceMembership().run)

	<-ctx.Done()
	a.tunnels.Stop() // first, so that the ends of their recordings are still kept
	group.Stop()
	a.leave(func(*installation) bool { return true }) // they began when the group ended
	a.writeStatusOnce()
	a.log.Info("agent stopped")
}

func openHost(ctx context.Context) metrics.Source { return metrics.NewHost(ctx) }

// join opens a session in a realm, with a connection of its own.
func (a *Agent) join(ctx context.Context, realm string) (*wampx.Session, error) {
	c := a.dial
	c.Realm = realm
	return wampx.Dial(ctx, c)
}

// remember keeps what the next start needs. A disk that fails is no reason to stop.
func (a *Agent) remember() {
	if err := a.config.State.Remember(a.memory); err != nil {
		a.log.Warn("state not written", logkey.Error, err)
	}
}
