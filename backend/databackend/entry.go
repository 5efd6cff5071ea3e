package databackend

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"bulkhead/wire"
)

// entry is one accepted submission: rows of one table that are stored all or none.
type entry struct {
	table   string
	columns []Column // id and type; the values of the records are in this order
	bulk    bool
	records []Record
}

// shape is what a reader must know of a table to read its entries; the spill has it once per segment.
type shape struct {
	table   string
	columns []Column
}

// The first byte of a frame says what it has.
const (
	frameShape byte = 1
	frameEntry byte = 2
)

// The tag before a value in an entry.
const (
	tagNull byte = iota
	tagFloat
	tagInt
	tagTime
	tagString
	tagTrue
	tagFalse
	tagJSON
)

var errFrame = errors.New("the record cannot be read")

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendShape(b []byte, id uint64, s shape) []byte {
	b = append(b, frameShape)
	b = binary.AppendUvarint(b, id)
	b = appendText(b, s.table)
	b = binary.AppendUvarint(b, uint64(len(s.columns)))
	for _, c := range s.columns {
		b = appendText(appendText(b, c.ID), string(c.Type))
	}
	return b
}

func appendEntry(b []byte, id uint64, e entry) ([]byte, error) {
	bulk := uint64(0)
	if e.bulk {
		bulk = 1
	}
	b = append(b, frameEntry)
	b = binary.AppendUvarint(b, id)
	b = binary.AppendUvarint(b, bulk)
	b = binary.AppendUvarint(b, uint64(len(e.records)))
	for _, r := range e.records {
		b = binary.AppendUvarint(b, uint64(r.Device))
		b = appendText(b, r.AuthID)
		b = binary.AppendVarint(b, r.Seq)
		if len(r.Values) != len(e.columns) {
			return nil, fmt.Errorf("a record of %s has %d values for %d columns", e.table, len(r.Values), len(e.columns))
		}
		for _, v := range r.Values {
			var err error
			if b, err = appendValue(b, v); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, tagNull), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, tagFloat), math.Float64bits(v)), nil
	case int64:
		return binary.AppendVarint(append(b, tagInt), v), nil
	case time.Time:
		return binary.AppendVarint(append(b, tagTime), v.UnixMicro()), nil
	case string:
		return appendText(append(b, tagString), v), nil
	case bool:
		if v {
			return append(b, tagTrue), nil
		}
		return append(b, tagFalse), nil
	case json.RawMessage:
		return appendText(append(b, tagJSON), string(v)), nil
	default:
		return nil, fmt.Errorf("a value of type %T cannot be kept", v)
	}
}

// scanner reads the parts of a frame. After the first part that is not there, ok is false and every part is zero.
type scanner struct {
	rest []byte
	ok   bool
}

func (s *scanner) fail() { s.ok, s.rest = false, nil }

func (s *scanner) byte() byte {
	if len(s.rest) == 0 {
		s.fail()
		return 0
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	return c
}

func (s *scanner) uvarint() uint64 {
	n, size := binary.Uvarint(s.rest)
	if size <= 0 {
		s.fail()
		return 0
	}
	s.rest = s.rest[size:]
	return n
}

func (s *scanner) varint() int64 {
	n, size := binary.Varint(s.rest)
	if size <= 0 {
		s.fail()
		return 0
	}
	s.rest = s.rest[size:]
	return n
}

func (s *scanner) bytes(n uint64) []byte {
	if n > uint64(len(s.rest)) {
		s.fail()
		return nil
	}
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

func (s *scanner) text() string { return string(s.bytes(s.uvarint())) }

// count reads how many parts follow, each of which takes at least one byte.
func (s *scanner) count() int {
	n := s.uvarint()
	if n > uint64(len(s.rest)) {
		s.fail()
		return 0
	}
	return int(n)
}

// shape reads the rest of a frameShape.
func (s *scanner) shape() (uint64, shape) {
	id, table := s.uvarint(), s.text()
	columns := make([]Column, s.count())
	for i := range columns {
		columns[i] = Column{ID: s.text(), Type: DataType(s.text())}
	}
	return id, shape{table, columns}
}

// entry reads the rest of a frameEntry.
func (s *scanner) entry(shapes map[uint64]shape) (entry, error) {
	known, ok := shapes[s.uvarint()]
	if !ok {
		return entry{}, errFrame
	}
	e := entry{table: known.table, columns: known.columns, bulk: s.uvarint() == 1}
	e.records = make([]Record, s.count())
	for i := range e.records {
		r := Record{Device: wire.Key(s.uvarint()), AuthID: s.text(), Seq: s.varint()}
		if !s.ok {
			return entry{}, errFrame
		}
		r.Values = make([]any, len(known.columns))
		for j := range r.Values {
			r.Values[j] = s.value()
		}
		e.records[i] = r
	}
	if !s.ok || len(s.rest) > 0 || len(e.records) == 0 {
		return entry{}, errFrame
	}
	return e, nil
}

func (s *scanner) value() any {
	switch s.byte() {
	case tagNull:
		return nil
	case tagFloat:
		b := s.bytes(8)
		if len(b) < 8 {
			return nil
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case tagInt:
		return s.varint()
	case tagTime:
		return time.UnixMicro(s.varint()).UTC()
	case tagString:
		return s.text()
	case tagTrue:
		return true
	case tagFalse:
		return false
	case tagJSON:
		return json.RawMessage(s.text())
	default:
		s.fail()
		return nil
	}
}

// size is about how much memory an entry takes.
func (e entry) size() int {
	n := 128
	for _, r := range e.records {
		n += 64 + len(r.AuthID) + 24*len(r.Values)
		for _, v := range r.Values {
			switch v := v.(type) {
			case string:
				n += len(v)
			case json.RawMessage:
				n += len(v)
			}
		}
	}
	return n
}
