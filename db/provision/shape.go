package provision

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// shape is what a template says about tables, in the form in which it is stored beside the placement.
type shape struct {
	Tables []table `json:"tables"`
}

type table struct {
	Name             string        `json:"name"`
	Columns          []column      `json:"columns"`
	ChunkInterval    time.Duration `json:"chunk_interval"`
	DropAfter        time.Duration `json:"drop_after,omitempty"`
	ColumnstoreAfter time.Duration `json:"columnstore_after,omitempty"` // 0 keeps rows as rows
}

type column struct {
	ID   string               `json:"id"`
	Type databackend.DataType `json:"type"`
}

const defaultChunk = databackend.DefaultChunkInterval

// defaultColumnstoreAfter is the age at which chunks become columns where the template asks for it without an age.
const defaultColumnstoreAfter = 14 * 24 * time.Hour

func shapeOf(t databackend.Template) shape {
	s := shape{Tables: []table{}}
	for _, from := range t.Tables {
		to := table{Name: from.Name, ChunkInterval: from.ChunkInterval, DropAfter: from.DropAfter}
		if to.ChunkInterval <= 0 {
			to.ChunkInterval = defaultChunk
		}
		if from.Columnstore {
			to.ColumnstoreAfter = from.ColumnstoreAfter
			if to.ColumnstoreAfter <= 0 {
				to.ColumnstoreAfter = defaultColumnstoreAfter
			}
		}
		for _, c := range from.Columns {
			to.Columns = append(to.Columns, column{ID: c.ID, Type: c.Type})
		}
		s.Tables = append(s.Tables, to)
	}
	return s
}

func (s shape) equal(o shape) bool { return reflect.DeepEqual(s, o) }

func (s shape) table(name string) (table, bool) {
	i := slices.IndexFunc(s.Tables, func(t table) bool { return t.Name == name })
	if i < 0 {
		return table{}, false
	}
	return s.Tables[i], true
}

// declared are the template's columns without those that every table has anyway.
func (t table) declared() []column {
	return slices.DeleteFunc(slices.Clone(t.Columns), func(c column) bool { return c.ID == databackend.ColumnTime })
}

func (t table) column(id string) (column, bool) {
	i := slices.IndexFunc(t.Columns, func(c column) bool { return c.ID == id })
	if i < 0 {
		return column{}, false
	}
	return t.Columns[i], true
}

// refuseLoss tells whether a shape can become the next one without losing a row or a value: tables and columns may be
// added, and how long and in what form rows are kept may change.
func (s shape) refuseLoss(next shape) error {
	var lost []string
	for _, t := range s.Tables {
		n, found := next.table(t.Name)
		if !found {
			lost = append(lost, "table "+t.Name+" is gone")
			continue
		}
		lost = append(lost, t.loses(n)...)
	}
	if len(lost) == 0 {
		return nil
	}
	return errs.E(wire.Conflict, "the new template does not keep what is stored: %s", strings.Join(lost, "; "))
}

func (t table) loses(next table) []string {
	var lost []string
	for _, c := range t.Columns {
		n, found := next.column(c.ID)
		switch {
		case !found:
			lost = append(lost, fmt.Sprintf("column %s.%s is gone", t.Name, c.ID))
		case n.Type != c.Type:
			lost = append(lost, fmt.Sprintf("column %s.%s is %s in place of %s", t.Name, c.ID, n.Type, c.Type))
		}
	}
	return lost
}
