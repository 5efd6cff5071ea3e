// Package rpc is the server's own session in each realm: it offers the data plane's procedures in data realms and tells
// subscribers of stored rows, and tells agents in device realms what they serve.
//
// It promises that realms come and go with the directory while the others go on; that a session which is lost is joined
// again; that who calls is who the router says, and a caller whom it cannot place is refused; and that nobody who is told
// of stored rows, however slowly, holds up the storing.
package rpc

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/backend/databackend"
	"bulkhead/backend/recording"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Router lets this process into a realm.
type Router interface {
	Join(ctx context.Context, realm string, p realms.Principal) (wamp.Peer, error)
}

// Installations opens what a data realm needs.
type Installations interface {
	// Open has the ingest serve the installation of a realm, and tells its template and placement.
	Open(ctx context.Context, r realms.Realm) (databackend.Installation, error)
}

// Ingest stores rows.
type Ingest interface {
	Append(ctx context.Context, s wire.Submission) (wire.AppendReply, error)
	Refused(realm, table string, limit int, of wire.Key) (wire.RowErrorsReply, error)
}

// Assignments knows which installations a device serves.
type Assignments interface {
	Assignments(ctx context.Context, serial wire.Serial) (wire.AssignmentsReply, error)
}

// Recordings keeps what devices record.
type Recordings interface {
	Append(ctx context.Context, by recording.Device, c wire.RecordingChunk) error
}

// Config is what a Server needs. All of it is required but Recordings and Log.
type Config struct {
	Router        Router
	Installations Installations
	Ingest        Ingest
	Reader        databackend.Reader
	Assignments   Assignments
	Recordings    Recordings // nil: none are kept
	Log           *slog.Logger
}

// Server has a session in each realm of the directory. Make one with New and Stop it.
type Server struct {
	config    Config
	log       *slog.Logger
	group     *lifecycle.Group
	directory atomic.Pointer[realms.Directory]
	lost      atomic.Uint64 // events that nobody could be told of in time

	mu    sync.Mutex // guards seats
	seats map[string]*seat
}

// New makes a Server that is in no realm until Apply.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Server{config: c, log: c.Log, group: lifecycle.NewGroup(context.Background()), seats: map[string]*seat{}}
	s.directory.Store(&realms.Directory{})
	return s
}

// Apply has the Server join the realms of a directory and leave all others. It does not wait for that. The router must
// have the directory before.
func (s *Server) Apply(d *realms.Directory) {
	s.directory.Store(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, seat := range s.seats {
		if _, ok := d.Realm(name); !ok {
			seat.leave()
			delete(s.seats, name)
		}
	}
	for name, entry := range d.Realms() {
		if s.seats[name] == nil {
			s.sit(name, entry.Realm)
		}
	}
}

// Await waits until every realm of the directory has been served once, or ctx ends.
func (s *Server) Await(ctx context.Context) {
	s.mu.Lock()
	seats := slices.Collect(maps.Values(s.seats))
	s.mu.Unlock()
	for _, seat := range seats {
		select {
		case <-seat.first:
		case <-seat.left:
		case <-ctx.Done():
			return
		}
	}
}

// Reload has the Server take up a realm anew, because its template has changed.
func (s *Server) Reload(r realms.Realm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seat := s.seats[r.Name()]; seat != nil {
		seat.leave()
		s.sit(r.Name(), r)
	}
}

// sit takes a seat in a realm. The caller holds mu.
func (s *Server) sit(name string, r realms.Realm) {
	var before <-chan struct{}
	if old := s.seats[name]; old != nil {
		before = old.left
	}
	one := newSeat(s, r, before)
	if s.group.Go(one.run) {
		s.seats[name] = one
	}
}

// Stop leaves all realms and ends. Stopping twice is fine.
func (s *Server) Stop() { s.group.Stop() }

// Stored is told of each stored submission and has the subscribers told; see databackend.Config.OnStored. It does not block:
// where the router does not keep up, events are lost and counted, while the rows themselves are safe.
func (s *Server) Stored(st databackend.Stored) {
	if seat := s.seat(st.Realm); seat != nil && !seat.events.put(st) {
		if s.lost.Add(1) == 1 {
			s.log.Warn("subscribers are not told of all stored rows: the realm's session does not keep up", logkey.Realm, st.Realm)
		}
	}
}

// Lost counts the stored submissions that subscribers were not told of.
func (s *Server) Lost() uint64 { return s.lost.Load() }

// AssignmentsChanged tells the agents of a project to ask for their assignments again. It does not block.
func (s *Server) AssignmentsChanged(project wire.Key) {
	if seat := s.seat(realms.OfProject(project).Name()); seat != nil {
		seat.changed.Store(true)
		signal(seat.wake)
	}
}

func (s *Server) seat(realm string) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seats[realm]
}

// Absent lists the realms in which the Server should be and is not, for readiness.
func (s *Server) Absent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var absent []string
	for name, seat := range s.seats {
		if !seat.seated.Load() {
			absent = append(absent, name)
		}
	}
	return absent
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // has a token already
	}
}
