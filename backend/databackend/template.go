package databackend

import (
	"slices"
	"time"

	"bulkhead/wire"
)

// Limits of a template. They keep names within what PostgreSQL holds with our suffixes, and one file from asking for more
// than a schema can sensibly have.
const (
	MaxTemplate   = 1 << 20 // bytes of the file
	MaxTables     = 200
	MaxColumns    = 500 // of one table, the reserved ones not counted
	MaxTableName  = 40
	MaxColumnName = 59
)

// Columns that every table has beside those of its template. Their ids are reserved. LatestFlag is reserved because
// existing clients filter by it; it is answered by the query and stored nowhere.
const (
	ColumnTime       = "tsp"        // declared by every template, never null
	ColumnDevice     = "device_key" // bigint, the publishing device; 0 where the publisher is no device
	ColumnAuthID     = "authid"     // text, the publishing session's authid
	ColumnSeq        = "seq"        // bigint, tells rows of one device and time apart; UNIQUE (device_key, tsp, seq)
	ColumnLatestFlag = "latest_flag"
)

// Reserved lists the column ids that no template may declare.
var Reserved = []string{ColumnDevice, ColumnAuthID, ColumnLatestFlag, ColumnSeq}

// Template is the declaration of an installation's tables. It is immutable.
type Template struct {
	Tables []Table
	Agent  []wire.AgentPublication
}

// Table finds a table by name.
func (t Template) Table(name string) (Table, bool) {
	i := slices.IndexFunc(t.Tables, func(table Table) bool { return table.Name == name })
	if i < 0 {
		return Table{}, false
	}
	return t.Tables[i], true
}

// Table is one table of a template. It is immutable.
type Table struct {
	Name        string
	Description string
	Columns     []Column // as declared; tsp is among them, the reserved ones are not
	// Private keeps the rows of one device from the other devices; services and consoles of the installation read all.
	Private bool
	// ChunkInterval is the time that one chunk or partition covers; 0 is DefaultChunkInterval.
	ChunkInterval time.Duration
	// DropAfter is the age at which chunks are dropped; 0 keeps them.
	DropAfter time.Duration
	// EntityKey has the columns whose values together name an entity (maintainLatestFlagFor); nil where none was declared.
	EntityKey []string
	// Columnstore asks for columnar storage of chunks older than ColumnstoreAfter, where the database offers it.
	Columnstore      bool
	ColumnstoreAfter time.Duration
}

// Column finds a declared column by its id.
func (t Table) Column(id string) (Column, bool) {
	i := t.index(id)
	if i < 0 {
		return Column{}, false
	}
	return t.Columns[i], true
}

func (t Table) index(id string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.ID == id })
}

// Column is one declared column.
type Column struct {
	ID          string
	Name        string
	Description string
	Type        DataType
	Path        Path // where a submission has the value
}

// DataType is the type of a column. The zero DataType is none.
type DataType string

// The data types. There are no others.
const (
	Numeric   DataType = "numeric"
	BigInt    DataType = "bigint"
	Timestamp DataType = "timestamp"
	String    DataType = "string"
	Boolean   DataType = "boolean"
	JSON      DataType = "json"
)

// DataTypes lists every data type.
var DataTypes = []DataType{Numeric, BigInt, Timestamp, String, Boolean, JSON}

// SQL is the PostgreSQL type that stores a data type; "" for what is none.
func (d DataType) SQL() string {
	switch d {
	case Numeric:
		return "double precision"
	case BigInt:
		return "bigint"
	case Timestamp:
		return "timestamp with time zone"
	case String:
		return "text"
	case Boolean:
		return "boolean"
	case JSON:
		return "jsonb"
	default:
		return ""
	}
}
