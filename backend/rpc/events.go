package rpc

import (
	"context"
	"sync"

	"bulkhead/backend/databackend"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

// maxEventRows bounds the rows of one realm that subscribers are still to be told of.
const maxEventRows = 100_000

// events are stored submissions of one realm that subscribers are still to be told of, in order.
type events struct {
	wake chan struct{} // has a token when there may be some

	mu   sync.Mutex // guards what follows
	list []databackend.Stored
	rows int
}

func newEvents() *events { return &events{wake: make(chan struct{}, 1)} }

// put adds one, or tells that there is no room.
func (e *events) put(st databackend.Stored) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) > 0 && e.rows+len(st.Records) > maxEventRows {
		return false
	}
	e.list = append(e.list, st)
	e.rows += len(st.Records)
	if len(e.list) == 1 {
		signal(e.wake)
	}
	return true
}

// take gives all there are.
func (e *events) take() []databackend.Stored {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list, e.rows = nil, 0
	return list
}

// tellSubscribers tells of stored rows while the session lasts.
func (s *seat) tellSubscribers(ctx context.Context, session *wampx.Session) error {
	for {
		list := s.events.take()
		for i, st := range list {
			if err := tell(ctx, session, st); err != nil {
				s.server.lost.Add(uint64(len(list) - i))
				return err
			}
		}
		select {
		case <-s.events.wake:
		case <-session.Done():
			return session.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tell publishes the rows of one submission to those who may see them.
func tell(ctx context.Context, session *wampx.Session, st databackend.Stored) error {
	for _, to := range audiences(st) {
		if err := tellOne(ctx, session, st, to); err != nil {
			return err
		}
	}
	return nil
}

func tellOne(ctx context.Context, session *wampx.Session, st databackend.Stored, to wampx.PublishOptions) error {
	rows := make([]wire.Row, len(st.Records))
	for i, r := range st.Records {
		rows[i] = st.Table.Row(r)
	}
	if st.Bulk {
		return wampx.Publish(ctx, session, wire.TransformedBulkTopic(st.Table.Name), rows, to)
	}
	for _, row := range rows {
		if err := wampx.Publish(ctx, session, wire.TransformedTopic(st.Table.Name), row, to); err != nil {
			return err
		}
	}
	return nil
}

// audiences are who may be told of rows: all, or for a private table the device that published them and, apart from
// it, the installation's services and consoles.
func audiences(st databackend.Stored) []wampx.PublishOptions {
	all := wampx.PublishOptions{Unacknowledged: true}
	if !st.Table.Private {
		return []wampx.PublishOptions{all}
	}
	own, staff := all, all
	staff.EligibleAuthRole = []string{string(realms.RoleService), string(realms.RoleConsole)}
	if st.Records[0].Device == 0 {
		return []wampx.PublishOptions{staff}
	}
	own.EligibleAuthID, own.EligibleAuthRole = []string{st.Records[0].AuthID}, []string{string(realms.RoleDevice)}
	return []wampx.PublishOptions{own, staff}
}
