package rpc

import (
	"context"
	"strings"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

// data is what is offered in one data realm.
type data struct {
	server  *Server
	realm   realms.Realm
	inst    databackend.Installation
	history *databackend.History
}

func (s *seat) prepareData(ctx context.Context) ([]procedure, func(context.Context, *wampx.Session) error, error) {
	inst, err := s.server.config.Installations.Open(ctx, s.realm)
	if err != nil {
		return nil, nil, errs.Wrap("open "+s.realm.Name(), err)
	}
	d := &data{s.server, s.realm, inst, databackend.NewHistory(s.server.config.Reader, inst)}
	return d.procedures(), s.tellSubscribers, nil
}

// procedures are offered by prefix, so that a table that does not exist has an error that says so.
func (d *data) procedures() []procedure {
	p, a := d.realm.Project, d.realm.App
	return []procedure{
		d.procedure(wire.AppendProcedure(p, a, anyTable).URI, d.append(false)),
		d.procedure(wire.AppendBulkProcedure(p, a, anyTable).URI, d.append(true)),
		d.procedure(wire.HistoryProcedure(anyTable).URI, d.query),
		d.procedure(wire.SeriesProcedure(anyTable).URI, d.series),
		d.procedure(wire.RowErrorsProcedure(anyTable).URI, d.refused),
	}
}

// anyTable stands for a table's name in a URI, which it ends.
const anyTable = "t"

// call is one call of a procedure of a table.
type call struct {
	*wampx.Invocation
	table string
	by    caller
}

func (c call) arg0() any {
	if len(c.Args) == 0 {
		return nil
	}
	return c.Args[0]
}

// procedure offers one procedure for all tables. This is a trust boundary: who calls is placed before anything is looked at.
func (d *data) procedure(uri string, handle func(ctx context.Context, c call) (any, error)) procedure {
	prefix := strings.TrimSuffix(uri, anyTable)
	return procedure{prefix, wampx.Prefix, func(ctx context.Context, in *wampx.Invocation) (wampx.Result, error) {
		by, err := d.server.place(d.realm, in.CallerAuthID, in.CallerRole)
		if err != nil {
			return wampx.Result{}, err
		}
		answer, err := handle(ctx, call{in, strings.TrimPrefix(in.Procedure, prefix), by})
		if err != nil {
			return wampx.Result{}, err
		}
		return wampx.Result{Args: []any{answer}}, nil
	}}
}

func (d *data) append(bulk bool) func(context.Context, call) (any, error) {
	return func(ctx context.Context, c call) (any, error) {
		return d.server.config.Ingest.Append(ctx, wire.Submission{
			Realm: d.inst.Realm, Table: c.table, Device: c.by.device, AuthID: c.by.authID, Bulk: bulk, Args: c.Args, Kwargs: c.Kwargs,
		})
	}
}

func (d *data) query(ctx context.Context, c call) (any, error) {
	ask := c.arg0()
	return d.history.Query(ctx, c.table, c.reader(ctx), ask)
}

func (d *data) series(ctx context.Context, c call) (any, error) {
	ask := c.arg0()
	return d.history.Series(ctx, c.table, c.reader(ctx), ask)
}

// reader is the caller as the history knows it.
func (c call) reader(ctx context.Context) databackend.Caller {
	by := databackend.Caller{Device: c.by.device}
	c.Args, c.Kwargs = nil, nil // a query may wait for its turn, and what nobody reads is not to wait with it
	if c.ReceiveProgress {
		by.Chunk = func(index int, rows []wire.Row) error { return c.Progress(ctx, []any{index, rows}, nil) }
	}
	return by
}

// refused lists and counts refusals; of a private table a device is told of its own alone.
func (d *data) refused(_ context.Context, c call) (any, error) {
	limit, err := databackend.ParseRefused(c.arg0())
	if err != nil {
		return nil, err
	}
	table, _ := d.inst.Template.Table(c.table)
	var of wire.Key
	if table.Private {
		of = c.by.device
	}
	return d.server.config.Ingest.Refused(d.inst.Realm, c.table, limit, of)
}
