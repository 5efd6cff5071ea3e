package router

import (
	"context"
	"errors"
	"strings"
	"sync"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/core"
	"bulkhead/router/message"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// tables knows which topics of a realm are tables. The zero value knows none.
type tables struct{ row, bulk string }

func tablesOf(r realms.Realm) tables {
	if r.Kind != realms.Data {
		return tables{}
	}
	const table = "t"
	return tables{
		row:  strings.TrimSuffix(wire.TableTopic(r.Project, r.App, table), table),
		bulk: strings.TrimSuffix(wire.BulkTopic(r.Project, r.App, table), table),
	}
}

// find gives the table that a topic names.
func (t tables) find(topic string) (table string, bulk, ok bool) {
	if t.row == "" {
		return "", false, false
	}
	if table, ok = strings.CutPrefix(topic, t.row); !ok {
		table, bulk = strings.CutPrefix(topic, t.bulk)
		ok = bulk
	}
	return table, bulk, ok && table != "" && !strings.Contains(table, ".")
}

// submission is a publication to a table, on its way to the sink.
type submission struct {
	from        *member
	publish     *message.Publish
	publication message.ID
	table       string
	bulk        bool
}

// accept is core.Config.Accept: it keeps publications to tables until the realm is unlocked. They are answered by the sink.
func (re *realm) accept(from *core.Session, p *message.Publish, publication message.ID) bool {
	table, bulk, ok := re.tables.find(p.Topic)
	if !ok {
		return false
	}
	re.submissions = append(re.submissions, submission{from.Handle.(*member), p, publication, table, bulk})
	return true
}

// submit hands publications to the sink, in the order in which they came.
func (re *realm) submit(all []submission) {
	for _, s := range all {
		re.submitOne(s)
	}
}

const (
	// largeSubmission is how many bytes a publication has whose rows, decoded, may take much memory.
	largeSubmission = 64 << 10
	// largeAtOnce is how many of those of one realm are decoded at once: the sessions of a realm are many.
	largeAtOnce = 2
)

func (re *realm) submitOne(s submission) {
	if s.publish.Payload.Size() > largeSubmission {
		re.large <- struct{}{}
		defer func() { <-re.large }()
	}
	args, kwargs, err := s.publish.Payload.Decode()
	if err != nil {
		re.answer(s, errs.As(wire.Invalid, err, "the arguments cannot be read"))
		return
	}
	p := s.from.session.Principal()
	var once sync.Once
	re.router.config.Sink.Accept(wire.Submission{
		Realm: re.name, Table: s.table, Device: p.Device, AuthID: p.AuthID, Bulk: s.bulk, Args: args, Kwargs: kwargs,
	}, func(err error) { once.Do(func() { re.answer(s, err) }) })
}

// answer tells the publisher, if it asked, what became of its publication.
func (re *realm) answer(s submission, err error) {
	if !s.publish.Options.Acknowledge {
		return
	}
	reply := message.Message(&message.Published{Request: s.publish.Request, Publication: s.publication})
	if err != nil {
		reply = failure(message.CodePublish, s.publish.Request, err)
	}
	switch err := s.from.end.Send(reply); {
	case err == nil:
		re.class.out[reply.Code()].Add(1)
	case errors.Is(err, transport.ErrFull):
		// Not here: it may submit what the member leaves behind, and the caller may be a large submission itself.
		re.router.group.Go(func(context.Context) { re.locked(func() { re.overflow(s.from) }) })
	}
}

// failure is the ERROR that tells a peer of err: its URI, and the text that callers may read.
func failure(request message.Code, id message.ID, err error) *message.Error {
	text, encodeErr := message.NewPayload(message.JSON, []any{errs.UserText(err)}, nil)
	if encodeErr != nil { // a text that is no UTF-8 is not told
		text = message.Payload{}
	}
	return &message.Error{Request: request, RequestID: id, Details: message.Dict{}, URI: errs.URIOf(err), Payload: text}
}
