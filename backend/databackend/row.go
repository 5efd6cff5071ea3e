package databackend

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// MaxBulkRows is how many rows one submission may carry.
const MaxBulkRows = 50_000

// hints are keys that SDKs put beside or into a row to say who they are. They are accepted so that those SDKs work, and
// never read: identity is the session's. Every other key that no column reads is refused, because nothing is dropped in
// silence.
var hints = []string{ColumnDevice, ColumnAuthID, "DEVICE_KEY", "DEVICE_NAME", "DEVICE_SERIAL_NUMBER"}

// Record is one row as it is stored: what the columns of its table hold, and the columns that every table has.
type Record struct {
	Device wire.Key // of the session that published it; 0 where that is no device's
	AuthID string   // of that session
	Seq    int64    // not negative where the producer gave it, negative where the server did, so that they never meet
	Values []any    // in the order of Table.Columns
}

// Rules turn submissions into records. They are values made once per table.
type Rules struct {
	table  Table
	known  map[string]bool // keys of args[0] that a column reads
	args   int             // positional arguments that columns read
	tsp    int             // index of the column
	whole0 bool            // a column reads args[0] as a whole
}

// NewRules makes the rules of a table.
func NewRules(t Table) *Rules {
	r := &Rules{table: t, known: map[string]bool{}, args: 1, tsp: t.index(ColumnTime)}
	for _, c := range t.Columns {
		switch {
		case c.Path.Kwargs:
		case c.Path.Arg > 0:
			r.args = max(r.args, c.Path.Arg+1)
		case len(c.Path.Steps) == 0:
			r.whole0 = true
		default:
			r.known[c.Path.Steps[0].Key] = true
		}
	}
	for _, h := range hints {
		r.known[h] = true
	}
	return r
}

// Table is the table whose rules these are.
func (r *Rules) Table() Table { return r.table }

// Records turns a submission into records, all or none. now is the time of rows that have none. seqs gives the first of n
// numbers that nobody else has; it is asked where the producer gave none.
//
// The payload is the tenant's and may say anything; whose it is comes from the submission's identity alone.
func (r *Rules) Records(s wire.Submission, now time.Time, seqs func(n int) int64) ([]Record, error) {
	if !s.Bulk {
		return r.records(s, [][]any{s.Args}, now, seqs)
	}
	list, ok := at(s.Args, 0).([]any)
	switch {
	case !ok:
		return nil, invalidRow("args[0]: " + want("a list of rows", at(s.Args, 0)).Error())
	case len(list) == 0:
		return nil, invalidRow("args[0]: the list of rows is empty")
	case len(list) > MaxBulkRows:
		return nil, invalidRow("args[0]: more than " + strconv.Itoa(MaxBulkRows) + " rows at once")
	}
	rows := make([][]any, len(list))
	for i, row := range list {
		rows[i] = append([]any{row}, s.Args[1:]...)
	}
	return r.records(s, rows, now, seqs)
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func (r *Rules) records(s wire.Submission, rows [][]any, now time.Time, seqs func(n int) int64) ([]Record, error) {
	records := make([]Record, len(rows))
	for i, args := range rows {
		values, err := r.values(args, s.Kwargs, now)
		if err != nil && s.Bulk {
			return nil, invalidRow(fmt.Sprintf("row %d: %s", i, err))
		} else if err != nil {
			return nil, invalidRow(err.Error())
		}
		records[i] = Record{Device: s.Device, AuthID: s.AuthID, Values: values}
	}
	if err := checkReach(r.table, records); err != nil {
		return nil, err
	}
	first, err := seqOf(s, len(rows), seqs)
	for i := range records {
		records[i].Seq = first + int64(i)
	}
	return records, err
}

// seqOf gives the number of the first row: the producer's where it is a device and gave one, else one of ours. Services
// share device_key 0, so their numbers could meet; ours cannot.
func seqOf(s wire.Submission, rows int, seqs func(n int) int64) (int64, error) {
	hint, given := s.Kwargs[ColumnSeq]
	if !given || hint == nil || s.Device == 0 {
		return seqs(rows), nil
	}
	seq, ok := asInteger(hint)
	if !ok || seq < 0 || seq > maxSeq {
		return 0, invalidRow("kwargs.seq: want an integer from 0 to 2^62")
	}
	return seq, nil
}

const maxSeq = 1 << 62

// values reads one row.
func (r *Rules) values(args []any, kwargs map[string]any, now time.Time) ([]any, error) {
	if err := r.checkKeys(args); err != nil {
		return nil, err
	}
	values := make([]any, len(r.table.Columns))
	for i, c := range r.table.Columns {
		raw, _ := c.Path.find(args, kwargs)
		value, err := c.Type.Value(raw)
		if err != nil {
			return nil, misfit(c.ID + ": " + err.Error())
		}
		values[i] = value
	}
	if values[r.tsp] == nil {
		values[r.tsp] = now.UTC().Truncate(time.Microsecond)
	}
	if t, ok := values[r.tsp].(time.Time); !ok || t.Before(minRowTime) || !t.Before(maxRowTime) {
		return nil, misfit("tsp: the time is outside the years 1970 to 2199; want milliseconds since 1970")
	}
	return values, nil
}

// checkKeys refuses a row that has more than the columns read.
func (r *Rules) checkKeys(args []any) error {
	if len(args) > r.args {
		return misfit(fmt.Sprintf("args[%d]: no column reads it", r.args))
	}
	if r.whole0 {
		return nil
	}
	row, ok := object(at(args, 0))
	if !ok {
		return misfit("args[0]: " + want("a row", at(args, 0)).Error())
	}
	unknown := ""
	for key := range row {
		if !r.known[key] && (unknown == "" || key < unknown) {
			unknown = key
		}
	}
	if unknown == "" {
		return nil
	}
	return misfit(fmt.Sprintf("%s: the table has no such column", clip(unknown)))
}

func object(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case wire.Row:
		return v, true
	default:
		return nil, false
	}
}

// clip shortens a name of the publisher's choosing and makes it printable.
func clip(name string) string {
	const most = 64
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.QuoteToGraphic(name)
}

func invalidRow(reason string) error {
	return &errs.Error{Kind: wire.Invalid, User: reason, URI: wire.ErrInvalidRow}
}

// Bytes of a record in its table and in the two indexes that every table has, besides its values: the head of a row, the
// four columns that are always there, and the entries of the indexes with the room that they leave.
const recordOverhead = 28 + 32 + 64

// footprint estimates the bytes that records will take in their table. It is what is counted between two measurements.
func footprint(records []Record) (n int64) {
	for _, r := range records {
		n += recordOverhead + int64(len(r.AuthID))
		for _, v := range r.Values {
			switch v := v.(type) {
			case nil:
			case string:
				n += 4 + int64(len(v))
			case json.RawMessage:
				n += 4 + int64(len(v))
			default:
				n += 8
			}
		}
	}
	return n
}

// Row gives a record the form in which clients see it: timestamps in epoch milliseconds, JSON decoded, NULL as nil.
func (t Table) Row(r Record) wire.Row {
	row := make(wire.Row, len(t.Columns)+2)
	for i, c := range t.Columns {
		row[c.ID] = WireValue(r.Values[i])
	}
	row[ColumnDevice], row[ColumnAuthID] = uint64(r.Device), r.AuthID
	return row
}

// sameShape reports whether two tables store the same values in the same order.
func sameShape(a, b []Column) bool {
	return slices.EqualFunc(a, b, func(a, b Column) bool { return a.ID == b.ID && a.Type == b.Type })
}
