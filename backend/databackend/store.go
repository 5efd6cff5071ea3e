package databackend

import (
	"context"
	"errors"
	"slices"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// store has the database take items, table by table, and calls outcome for each that is decided: stored or refused. It
// gives the items that are not decided, in order, with the reason; they may be in the database all the same.
func (l *lane) store(ctx context.Context, items []item, outcome func(item, error)) ([]item, error) {
	now := l.served.Load()
	for len(items) > 0 {
		name := items[0].table
		of, others := partition(items, func(it item) bool { return it.table == name })
		if left, err := l.storeTable(ctx, now, of, outcome); err != nil {
			return append(left, others...), err
		}
		items = others
	}
	return nil, nil
}

func partition(items []item, in func(item) bool) (of, others []item) {
	for _, it := range items {
		if in(it) {
			of = append(of, it)
		} else {
			others = append(others, it)
		}
	}
	return of, others
}

// storeTable stores items of one table, as many at once as one transaction may.
func (l *lane) storeTable(ctx context.Context, now *served, items []item, outcome func(item, error)) ([]item, error) {
	table, known := now.tables[items[0].table]
	if !known {
		for _, it := range items {
			l.decide(it, noSuchTable(), outcome)
		}
		return nil, nil
	}
	items = l.fit(table.rules.table, items, outcome)
	if len(items) == 0 {
		return nil, nil
	}
	parts := withinReach(table.rules.table, items)
	for i, part := range parts {
		if left, err := l.storePart(ctx, now, table.rules.table, part, outcome); err != nil {
			return append(slices.Clip(left), slices.Concat(parts[i+1:]...)...), err
		}
	}
	return nil, nil
}

// storePart stores items in one transaction. Where one of them does not fit, it finds which by halves.
func (l *lane) storePart(ctx context.Context, now *served, t Table, items []item, outcome func(item, error)) ([]item, error) {
	err := l.config.Writer.Write(ctx, now.Placement, t, recordsOf(items))
	var fault *WriteFault
	switch {
	case err == nil:
		l.improve()
		for _, it := range items {
			l.decide(it, nil, outcome)
			l.config.OnStored(Stored{Realm: now.Realm, Table: t, Bulk: it.bulk, Records: it.records})
		}
		return nil, nil
	case !errors.As(err, &fault) || fault.Kind != RowFault:
		return items, err
	case len(items) == 1:
		l.decide(items[0], refusedRow(fault), outcome)
		return nil, nil
	}
	half := len(items) / 2
	if left, err := l.storePart(ctx, now, t, items[:half], outcome); err != nil {
		return append(slices.Clip(left), items[half:]...), err
	}
	return l.storePart(ctx, now, t, items[half:], outcome)
}

func recordsOf(items []item) []Record {
	var records []Record
	for _, it := range items {
		records = append(records, it.records...)
	}
	return records
}

func refusedRow(f *WriteFault) error {
	e := &errs.Error{Kind: wire.Invalid, User: f.Reason, URI: wire.ErrInvalidRow, Err: f.Err}
	if f.URI != "" {
		e.URI = f.URI
	}
	if e.URI == wire.ErrEntityKeyConflict {
		e.Kind = wire.Conflict
	}
	return e
}

// fit gives the items the columns that the table has now, and refuses those that do not fit it any more; the template may
// have changed while they waited on disk.
func (l *lane) fit(t Table, items []item, outcome func(item, error)) []item {
	fitting := make([]item, 0, len(items))
	for _, it := range items {
		var err error
		if !sameShape(it.columns, t.Columns) {
			it.entry, err = remap(it.entry, t)
		}
		if err == nil {
			err = checkReach(t, it.records)
		}
		if err != nil {
			l.decide(it, err, outcome)
			continue
		}
		fitting = append(fitting, it)
	}
	return fitting
}

// remap gives an entry the columns of t: new ones are NULL; one that is gone or has another type must have been NULL.
// Otherwise it gives the entry as it is, with an error.
func remap(e entry, t Table) (entry, error) {
	from := make([]int, len(t.Columns)) // index of a column in e, or -1
	moved := make([]bool, len(e.columns))
	for i, c := range t.Columns {
		from[i] = slices.IndexFunc(e.columns, func(o Column) bool { return o.ID == c.ID && o.Type == c.Type })
		if from[i] >= 0 {
			moved[from[i]] = true
		}
	}
	next := entry{table: e.table, columns: t.Columns, bulk: e.bulk, records: make([]Record, len(e.records))}
	for i, r := range e.records {
		for j, c := range e.columns {
			if !moved[j] && r.Values[j] != nil {
				return e, invalidRow(c.ID + ": the table has lost this column since the row was published")
			}
		}
		values := make([]any, len(t.Columns))
		for j, k := range from {
			if k >= 0 {
				values[j] = r.Values[k]
			}
		}
		r.Values = values
		next.records[i] = r
	}
	return next, nil
}

// decide counts what became of an item and tells.
func (l *lane) decide(it item, err error, outcome func(item, error)) {
	if err != nil {
		l.refuse(it, err)
	} else {
		l.counts.stored.Add(uint64(len(it.records)))
	}
	outcome(it, err)
}

// refuse counts and lists a refusal.
func (l *lane) refuse(it item, err error) {
	l.counts.refused.Add(uint64(len(it.records)))
	if t := l.table(it.table); t != nil {
		by := wire.Submission{Device: it.records[0].Device, AuthID: it.records[0].AuthID}
		t.refused.add(by, time.Now(), len(it.records), err)
	}
}
