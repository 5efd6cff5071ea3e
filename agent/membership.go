package agent

import (
	"context"
	"log/slog"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// farewellTimeout bounds a GOODBYE and its answer.
const farewellTimeout = 2 * time.Second

// membership keeps the agent in one realm: join, serve, pause, again. Each realm has a connection and a pause of its own.
type membership struct {
	realm string
	join  func(ctx context.Context, realm string) (*wampx.Session, error)
	// serve does what the agent does in the realm, until the session is over or ctx ends.
	serve func(ctx context.Context, s *wampx.Session) error
	board *board
	log   *slog.Logger

	backoff backoff
	said    string // why it is not joined, as it was last logged
}

// run keeps the membership until ctx ends; then it leaves with a GOODBYE.
func (m *membership) run(ctx context.Context) {
	for {
		err := m.once(ctx)
		if ctx.Err() != nil {
			return
		}
		m.outside(err)
		if !pause(ctx, m.backoff.next()) {
			return
		}
	}
}

// once joins and serves once. The error is why it is over.
func (m *membership) once(ctx context.Context) error {
	s, err := m.join(ctx, m.realm)
	if err != nil {
		return err
	}
	began := time.Now()
	m.inside()
	err = m.serve(ctx, s)
	farewell, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	_ = s.Close(farewell) // at the end of ctx it leaves; else it is over already
	if ctx.Err() != nil {
		m.board.left(m.realm, "the agent was stopped")
	}
	m.backoff.lasted(time.Since(began))
	return err
}

func (m *membership) inside() {
	m.said = ""
	m.board.joined(m.realm)
	m.log.Info("joined", logkey.Realm, m.realm)
}

// outside says why the agent is not in the realm: once for each reason, however often it is met.
func (m *membership) outside(err error) {
	reason := errs.UserText(err)
	m.board.left(m.realm, reason)
	if reason == m.said {
		m.log.Debug("not joined", logkey.Realm, m.realm, logkey.Error, err)
		return
	}
	m.said = reason
	switch {
	case wampx.Reason(err) == wampx.NoSuchRealm:
		m.log.Info("the realm is not there yet; the agent keeps asking", logkey.Realm, m.realm)
	case errs.KindOf(err) == wire.Unauthenticated:
		m.log.Error("the router does not accept this device: its flash file is replaced, or the device is suspended or revoked; the agent keeps asking",
			logkey.Realm, m.realm, logkey.Error, err)
	default:
		m.log.Warn("not joined; the agent keeps trying", logkey.Realm, m.realm, logkey.Reason, reason, logkey.Error, err)
	}
}
