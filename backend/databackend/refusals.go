package databackend

import (
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// maxRefusals is how many refused rows of a table are listed.
const maxRefusals = 1000

// refusals counts the refused rows of one table and keeps the newest reasons.
type refusals struct {
	mu     sync.Mutex // guards what follows
	total  uint64
	by     map[wire.Key]uint64 // total by device; as many as the installation has devices at most
	newest []wire.RowError     // a ring once it is full
	next   int
}

func (r *refusals) add(s wire.Submission, at time.Time, rows int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total += uint64(rows)
	if r.by == nil {
		r.by = map[wire.Key]uint64{}
	}
	r.by[s.Device] += uint64(rows)
	e := wire.RowError{Time: at.UnixMilli(), Device: s.Device, AuthID: s.AuthID, Code: errs.URIOf(err), Reason: errs.UserText(err)}
	if len(r.newest) < maxRefusals {
		r.newest = append(r.newest, e)
		return
	}
	r.newest[r.next] = e
	r.next = (r.next + 1) % maxRefusals
}

// list gives at most limit of the newest, newest first, and how many there were: of one device, or of all where it is 0.
func (r *refusals) list(limit int, of wire.Key) wire.RowErrorsReply {
	r.mu.Lock()
	defer r.mu.Unlock()
	reply := wire.RowErrorsReply{Total: r.total, Errors: []wire.RowError{}}
	if of != 0 {
		reply.Total = r.by[of]
	}
	n := len(r.newest)
	for i := range n {
		e := r.newest[(r.next+n-1-i)%n]
		if (of == 0 || e.Device == of) && len(reply.Errors) < limit {
			reply.Errors = append(reply.Errors, e)
		}
	}
	return reply
}
